// Binds what calls over a device take and give, for vista_fast.devices.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convert.h"
#include "cuda/device_library.h"
#include "cuda/device_objects.h"
#include "device_arrays.h"
#include "dlpack.h"
#include "errors.h"
#include "foreign.h"
#include "gil.h"
#include "ops/cuda_preprocess.h"
#include "prepared_op.h"

namespace py = pybind11;

namespace vista::python {
namespace {

using cuda::DeviceArray;
using cuda::DevicePixels;

// Takes a reference, which goes on a Python thread whatever thread lets go of the pixels.
std::shared_ptr<const void> Owned(py::object owner) {
  return {owner.release().ptr(), [](const void* object) {
            ReleaseLater(static_cast<PyObject*>(const_cast<void*>(object)));
          }};
}

std::shared_ptr<DevicePixels> MakePixels(std::string hash, std::uintptr_t address, int width,
                                         int height, int device, std::uintptr_t ready,
                                         py::object owner) {
  const DevicePixels::Place place = {reinterpret_cast<const std::uint8_t*>(address), width, height,
                                     device, ready};
  return std::make_shared<DevicePixels>(std::move(hash), place, Owned(std::move(owner)));
}

const char* ElementTypeName(const DeviceArray& array) {
  switch (array.type()) {
    case cuda::Float::kFloat16:
      return "float16";
    case cuda::Float::kBfloat16:
      return "bfloat16";
    default:
      return "float32";
  }
}

// A reader whose work is known from now until its tensor goes.
std::shared_ptr<const void> ReaderOn(const DeviceArray& array, std::int64_t stream) {
  const GilReleased no_gil;
  Result<std::shared_ptr<const void>> reader =
      array.memory()->ReadOn(static_cast<std::uintptr_t>(stream));
  return ValueOrRaise(std::move(reader));
}

// `stream` by DLPack's rules: 1 is CUDA's default, -1 asks for no wait.
py::capsule Dlpack(const std::shared_ptr<DeviceArray>& array, std::optional<std::int64_t> stream,
                   const py::object&, const std::optional<std::pair<int, int>>& device,
                   const std::optional<bool>& copy) {
  if (device && !py::make_tuple(device->first, device->second).equal(DlpackDevice(*array)))
    throw py::buffer_error("the array lies on another device; copy it there afterwards");
  if (copy == true) throw py::buffer_error("the array gives its own memory; copy it afterwards");
  if (stream == 0 || stream == 2) {
    throw py::buffer_error("stream " + std::to_string(*stream) +
                           " means another stream to each thread; pass 1 for CUDA's default, or a "
                           "stream's own handle");
  }
  constexpr std::int64_t kDefaultStream = 1;
  if (stream == -1) return ToDlpack(*array, array->memory());
  return ToDlpack(*array, ReaderOn(*array, stream.value_or(kDefaultStream)));
}

std::unique_ptr<PreparedOp> MakeCudaPreprocess(const std::string& library, int device,
                                               std::size_t budget_bytes, std::size_t max_batch) {
  // What is held, as much again for what is in use, and what small results leave between them.
  const std::size_t idle_bytes = 2 * budget_bytes + (std::size_t{256} << 20);
  Result<std::shared_ptr<cuda::Device>> opened = [&] {
    const GilReleased no_gil;  // the first use of a GPU takes a while
    return cuda::OpenDevice(library, device, idle_bytes);
  }();
  return std::make_unique<PreparedOp>(
      ops::MakeCudaPreprocess(ValueOrRaise(std::move(opened)), budget_bytes, max_batch));
}

// One result or exception instance for each call. All that can be run have one compatibility key.
py::list RunCalls(const PreparedOp& prepared, const std::vector<py::dict>& calls) {
  std::vector<Status> refusals;
  std::vector<Value> runnable;
  for (const py::dict& arguments : calls) {
    Result<Value> call = ToValue(arguments);
    refusals.push_back(call.ok() ? prepared.op->Inspect(call.value()).status() : call.status());
    if (refusals.back().ok()) runnable.push_back(std::move(call).value());
  }
  std::vector<Result<Value>> results = [&] {
    const GilReleased no_gil;
    return prepared.op->Run(runnable);
  }();
  py::list all;
  auto next = results.begin();
  for (const Status& refusal : refusals) {
    const Result<Value> result = refusal.ok() ? *next++ : Result<Value>(refusal);
    all.append(result.ok() ? FromValue(result.value()) : ToException(result.status()));
  }
  return all;
}

// Lives as long as the process.
PyObject* shown_as = nullptr;

}  // namespace

py::object ShowDeviceArray(const std::shared_ptr<const DeviceArray>& array) {
  py::object bound = py::cast(std::const_pointer_cast<DeviceArray>(array));
  return shown_as == nullptr ? bound : py::handle(shown_as)(bound);
}

// Object must be bound already.
void BindDevice(py::module_& module) {
  py::class_<DevicePixels, Object, std::shared_ptr<DevicePixels>>(module, "DevicePixels")
      .def(py::init(&MakePixels), py::kw_only(), py::arg("hash"), py::arg("address"),
           py::arg("width"), py::arg("height"), py::arg("device"), py::arg("ready"),
           py::arg("owner"));
  py::class_<DeviceArray, Object, std::shared_ptr<DeviceArray>>(module, "DeviceArray")
      .def_property_readonly(
          "shape", [](const DeviceArray& array) { return py::tuple(py::cast(array.shape())); })
      .def_property_readonly("dtype", &ElementTypeName)
      .def_property_readonly("device", &DeviceArray::device)
      .def_property_readonly("bytes",
                             [](const DeviceArray& array) { return array.memory()->bytes(); })
      .def("__dlpack__", &Dlpack, py::kw_only(), py::arg("stream") = py::none(),
           py::arg("max_version") = py::none(), py::arg("dl_device") = py::none(),
           py::arg("copy") = py::none())
      .def("__dlpack_device__", &DlpackDevice);
  py::class_<PreparedOp>(module, "CudaPreprocess")
      .def(py::init(&MakeCudaPreprocess), py::kw_only(), py::arg("library"), py::arg("device"),
           py::arg("budget_bytes"), py::arg("max_batch"))
      .def_property_readonly("name",
                             [](const PreparedOp& prepared) { return prepared.op->spec().name; })
      .def("run", &RunCalls, py::arg("calls"));
  module.def(
      "show_device_arrays_as", [](py::object type) { Py_XSETREF(shown_as, type.release().ptr()); },
      py::arg("type"));
}

}  // namespace vista::python
