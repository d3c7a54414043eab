#include "dlpack.h"

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "dlpack_layout.h"
#include "errors.h"

namespace py = pybind11;

namespace vista::python {
namespace {

using dlpack::Managed;
using dlpack::ManagedVersioned;

// What a managed tensor points into; lives until the consumer calls the deleter.
template <typename Form>
struct Export {
  Form managed{};
  std::shared_ptr<const void> owner;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;

  Export(std::shared_ptr<const void> exported, const void* data, dlpack::Device device,
         dlpack::ElementType type, std::vector<std::int64_t> sides)
      : owner(std::move(exported)), shape(std::move(sides)), strides(shape.size(), 1) {
    for (std::size_t i = shape.size(); i-- > 1;) strides[i - 1] = strides[i] * shape[i];
    managed.tensor = {const_cast<void*>(data),
                      device,
                      static_cast<std::int32_t>(shape.size()),
                      type,
                      shape.data(),
                      strides.data(),
                      0};
    managed.context = this;
    managed.deleter = [](Form* form) { delete static_cast<Export*>(form->context); };
  }
};

template <typename Form>
Export<Form>* ExportOf(const Image::Ref& image) {
  return new Export<Form>(image, image->data(), {dlpack::kCpu, 0}, {dlpack::kUnsigned, 8, 1},
                          {image->height(), image->width(), 3});
}

// An untaken capsule frees the tensor itself; a consumer that takes it renames the capsule.
template <typename Form>
py::capsule Wrap(Form* managed, const char* name) {
  return py::capsule(managed, name, [](PyObject* capsule) {
    const char* current = PyCapsule_GetName(capsule);
    if (current == nullptr || std::string_view(current).starts_with("used_")) return;
    auto* form = static_cast<Form*>(PyCapsule_GetPointer(capsule, current));
    form->deleter(form);
  });
}

dlpack::Device DeviceOf(const cuda::DeviceArray& array) {
  return array.device() < 0 ? dlpack::Device{dlpack::kCpu, 0}
                            : dlpack::Device{dlpack::kCuda, array.device()};
}

dlpack::ElementType TypeOf(cuda::Float type) {
  switch (type) {
    case cuda::Float::kFloat16:
      return {dlpack::kFloat, 16, 1};
    case cuda::Float::kBfloat16:
      return {dlpack::kBfloat, 16, 1};
    default:
      return {dlpack::kFloat, 32, 1};
  }
}

Image::Ref CopyOf(const Image& image) {
  Result<Pixels> pixels = Copy(image.view());
  if (!pixels.ok()) Raise(pixels.status());
  return Image::Create(std::move(pixels).value());
}

}  // namespace

py::capsule ToDlpack(const Image::Ref& image, DlpackForm form) {
  if (form == DlpackForm::kCopy) {
    return Wrap(&ExportOf<Managed>(CopyOf(*image))->managed, "dltensor");
  }
  const bool shared = form == DlpackForm::kVersionedShared;
  auto* exported = ExportOf<ManagedVersioned>(shared ? image : CopyOf(*image));
  exported->managed.major = 1;
  exported->managed.flags = shared ? dlpack::kReadOnly : dlpack::kCopied;
  return Wrap(&exported->managed, "dltensor_versioned");
}

py::capsule ToDlpack(const cuda::DeviceArray& array, std::shared_ptr<const void> owner) {
  auto* exported = new Export<Managed>(std::move(owner), array.memory()->data(), DeviceOf(array),
                                       TypeOf(array.type()), array.shape());
  return Wrap(&exported->managed, "dltensor");
}

py::tuple DlpackDevice(const cuda::DeviceArray& array) {
  const dlpack::Device device = DeviceOf(array);
  return py::make_tuple(device.type, device.id);
}

}  // namespace vista::python
