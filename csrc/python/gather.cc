// gather: the rows of several results into the one tensor of a batch.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "dlpack_layout.h"
#include "errors.h"
#include "gil.h"
#include "image/rows.h"

namespace py = pybind11;

namespace vista::python {
namespace {

using Rows = py::array_t<float, py::array::c_style>;

// Where rows go: memory of the caller, or new.
struct Target {
  void* data;
  bool bfloat16;
  bool fresh;  // its pages are not there yet: the system clears them, which brings them into caches
};

std::string ShapeText(const std::vector<py::ssize_t>& shape) {
  std::string text = "[";
  for (const py::ssize_t side : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(side);
  }
  text += ']';
  return text;
}

// [sum of the rows, what all have behind them].
std::vector<py::ssize_t> GatheredShape(const std::vector<Rows>& parts) {
  if (parts.empty()) Raise(Status::InvalidArgument("there is nothing to gather; give an array"));
  const Rows& first = parts.front();
  std::vector<py::ssize_t> shape(first.shape(), first.shape() + first.ndim());
  if (shape.empty()) Raise(Status::InvalidArgument("a scalar has no rows; give arrays"));
  shape[0] = 0;
  for (const Rows& part : parts) {
    if (part.ndim() != first.ndim() ||
        !std::equal(shape.begin() + 1, shape.end(), part.shape() + 1)) {
      Raise(Status::InvalidArgument(
          "arrays of shape " + ShapeText({first.shape(), first.shape() + first.ndim()}) + " and " +
          ShapeText({part.shape(), part.shape() + part.ndim()}) +
          " can't be gathered; all must be equal behind their first dimension"));
    }
    shape[0] += part.shape(0);
  }
  return shape;
}

bool IsDense(const dlpack::TensorView& tensor) {
  const bool is_empty =
      std::find(tensor.shape, tensor.shape + tensor.ndim, 0) != tensor.shape + tensor.ndim;
  if (is_empty) return true;
  std::int64_t expected = 1;
  for (std::int32_t i = tensor.ndim - 1; tensor.strides != nullptr && i >= 0; --i) {
    if (tensor.shape[i] != 1 && tensor.strides[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

// The tensor behind an object with __dlpack__, which must stay alive while it is written to.
Target TargetOf(const py::object& out, const std::vector<py::ssize_t>& shape) {
  const auto capsule = out.attr("__dlpack__")().cast<py::capsule>();
  const auto* managed =
      static_cast<const dlpack::Managed*>(PyCapsule_GetPointer(capsule.ptr(), "dltensor"));
  if (managed == nullptr) throw py::error_already_set();
  const dlpack::TensorView& tensor = managed->tensor;
  const std::vector<py::ssize_t> given(tensor.shape, tensor.shape + tensor.ndim);
  const bool is_float = tensor.dtype.code == dlpack::kFloat && tensor.dtype.bits == 32;
  const bool is_bfloat = tensor.dtype.code == dlpack::kBfloat && tensor.dtype.bits == 16;
  if (given != shape || !(is_float || is_bfloat) || tensor.device.type != dlpack::kCpu ||
      !IsDense(tensor)) {
    Raise(Status::InvalidArgument(
        "out has shape " + ShapeText(given) + ", DLPack type " + std::to_string(tensor.dtype.code) +
        " of " + std::to_string(tensor.dtype.bits) + " bits, device " +
        std::to_string(tensor.device.type) + "; give " + ShapeText(shape) +
        " of float32 or bfloat16 without gaps on the CPU"));
  }
  return {static_cast<char*>(tensor.data) + tensor.byte_offset, is_bfloat, false};
}

void Write(const std::vector<Rows>& parts, const Target& target) {
  struct Part {
    const float* data;
    std::size_t count;
  };
  std::vector<Part> views;
  for (const Rows& part : parts)
    views.push_back({part.data(), static_cast<std::size_t>(part.size())});
  const GilReleased no_gil;
  std::size_t at = 0;
  for (const Part& part : views) {
    if (target.bfloat16) {
      RoundRows(part.data, part.count, static_cast<std::uint16_t*>(target.data) + at);
    } else {
      float* to = static_cast<float*>(target.data) + at;
      if (target.fresh) {
        std::memcpy(to, part.data, part.count * sizeof(float));
      } else {
        CopyRows(part.data, part.count, to);
      }
    }
    at += part.count;
  }
  FinishRows();
}

py::object NewArray(const std::vector<py::ssize_t>& shape) {
  std::size_t bytes = sizeof(float);
  for (const py::ssize_t side : shape) bytes *= static_cast<std::size_t>(side);
  auto memory = std::make_unique<Buffer>(AllocateBuffer(bytes));
  if (*memory == nullptr) {
    Raise(Status::ResourceExhausted("no memory for an array of shape " + ShapeText(shape) + " (" +
                                    std::to_string(bytes) + " bytes); gather fewer rows"));
  }
  void* data = memory->get();
  const py::capsule owner(memory.release(), [](void* kept) { delete static_cast<Buffer*>(kept); });
  return py::array(py::dtype::of<float>(), shape, data, owner);
}

py::object Gather(const std::vector<Rows>& parts, const std::optional<py::object>& out) {
  const std::vector<py::ssize_t> shape = GatheredShape(parts);
  if (out && !out->is_none()) {
    Write(parts, TargetOf(*out, shape));
    return *out;
  }
  py::object array = NewArray(shape);
  Write(parts, {array.cast<py::array>().mutable_data(), false, true});
  return array;
}

}  // namespace

void BindGather(py::module_& m) {
  m.def("new_rows", &NewArray, py::arg("shape"),
        "An uninitialised float32 array. Its memory is kept for the next of its size.");
  m.def("gather", &Gather, py::arg("arrays"), py::arg("out") = py::none(),
        "The rows of float32 arrays [n, ...] one after the other: in a new array [sum of n, ...], "
        "or in `out`, anything with __dlpack__ of that shape on the CPU, without gaps, float32 or "
        "bfloat16 (rounded to nearest even). One copy, without the GIL.");
}

}  // namespace vista::python
