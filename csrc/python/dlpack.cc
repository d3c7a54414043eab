#include "dlpack.h"

#include <array>
#include <cstdint>
#include <string_view>
#include <utility>

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
  Image::Ref image;
  std::array<std::int64_t, 3> shape;
  std::array<std::int64_t, 3> strides;

  explicit Export(Image::Ref exported)
      : image(std::move(exported)),
        shape{image->height(), image->width(), 3},
        strides{3 * static_cast<std::int64_t>(image->width()), 3, 1} {
    managed.tensor = {const_cast<std::uint8_t*>(image->data()),
                      {dlpack::kCpu, 0},
                      3,
                      {dlpack::kUnsigned, 8, 1},
                      shape.data(),
                      strides.data(),
                      0};
    managed.context = this;
    managed.deleter = [](Form* form) { delete static_cast<Export*>(form->context); };
  }
};

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

Image::Ref CopyOf(const Image& image) {
  Result<Pixels> pixels = Copy(image.view());
  if (!pixels.ok()) Raise(pixels.status());
  return Image::Create(std::move(pixels).value());
}

}  // namespace

py::capsule ToDlpack(const Image::Ref& image, DlpackForm form) {
  if (form == DlpackForm::kCopy) {
    return Wrap(&(new Export<Managed>(CopyOf(*image)))->managed, "dltensor");
  }
  const bool shared = form == DlpackForm::kVersionedShared;
  auto* exported = new Export<ManagedVersioned>(shared ? image : CopyOf(*image));
  exported->managed.major = 1;
  exported->managed.flags = shared ? dlpack::kReadOnly : dlpack::kCopied;
  return Wrap(&exported->managed, "dltensor_versioned");
}

}  // namespace vista::python
