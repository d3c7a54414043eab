// The input of a network that takes normalised images, for batch functions in Python, which have an
// image's pixels and no engine to call.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

#include "errors.h"
#include "gil.h"
#include "image/planes.h"

namespace py = pybind11;

namespace vista::python {
namespace {

using PixelArray = py::array_t<std::uint8_t, py::array::c_style>;
using Canvas = py::array_t<float, py::array::c_style>;
using SampleValues = py::array_t<float, py::array::c_style>;
using Strided = py::array_t<float, 0>;

constexpr std::int64_t kAnyNumber = std::numeric_limits<std::int64_t>::max();

Size SizeOf(const char* what, py::ssize_t height, py::ssize_t width, std::int64_t pixel_limit) {
  if (Status status = CheckSize(what, width, height, pixel_limit); !status.ok()) Raise(status);
  return {static_cast<int>(width), static_cast<int>(height)};
}

void LayOnCanvas(const PixelArray& pixels, std::pair<int, int> size, const Channels& mean,
                 const Channels& std, Canvas& canvas) {
  if (pixels.ndim() != 3 || pixels.shape(2) != 3 || canvas.ndim() != 3 || canvas.shape(0) != 3) {
    Raise(
        Status::InvalidArgument("pixels must be uint8 [height, width, 3] and the canvas float32 "
                                "[3, height, width]"));
  }
  if (!canvas.writeable()) {
    Raise(Status::InvalidArgument("the canvas is read-only; give an array that may be written"));
  }
  // Both exist already; only what is allocated here has a limit.
  const Size from = SizeOf("the image", pixels.shape(0), pixels.shape(1), kAnyNumber);
  const Size whole = SizeOf("the canvas", canvas.shape(1), canvas.shape(2), kAnyNumber);
  const auto [width, height] = size;
  const Size to = SizeOf("size", height, width, kDefaultPixelLimit);
  const auto table = ValueOrRaise(MakeNormalisationTable(mean, std));
  const PixelView view = {pixels.data(), from, 3 * static_cast<std::ptrdiff_t>(from.width)};
  float* const out = canvas.mutable_data();
  const Status status = [&] {
    const GilReleased release;
    return LayPlanes(view, to, Filter::kBilinear, table, whole, out);
  }();
  if (!status.ok()) Raise(status);
}

// `values` has a row for each plane, of which red is the last.
NormalisationTable LookedUp(const SampleValues& values) {
  NormalisationTable table{};
  for (py::ssize_t plane = 0; plane < 3; ++plane)
    std::copy_n(values.data(plane), 256, table.value[static_cast<std::size_t>(2 - plane)].data());
  return table;
}

void WriteBgrPlanes(const PixelArray& pixels, const SampleValues& values, Strided& planes) {
  constexpr py::ssize_t kFloat = sizeof(float);
  if (pixels.ndim() != 3 || pixels.shape(2) != 3 || values.ndim() != 2 || values.shape(0) != 3 ||
      values.shape(1) != 256 || planes.ndim() != 3 || planes.shape(0) != 3 ||
      planes.shape(1) != pixels.shape(0) || planes.shape(2) != pixels.shape(1))
    Raise(Status::InvalidArgument(
        "pixels must be uint8 [height, width, 3], values float32 [3, 256] and planes float32 "
        "[3, height, width]"));
  if (pixels.size() == 0) return;
  const bool whole = planes.strides(0) % kFloat == 0 && planes.strides(1) % kFloat == 0 &&
                     (planes.strides(2) == kFloat || planes.shape(2) == 1);
  if (!whole || !planes.writeable())
    Raise(Status::InvalidArgument("planes must be writable, and the pixels of a row side by side"));
  const Size size = SizeOf("the image", pixels.shape(0), pixels.shape(1), kAnyNumber);
  const NormalisationTable table = LookedUp(values);
  const PixelView view = {pixels.data(), size, 3 * static_cast<std::ptrdiff_t>(size.width)};
  float* const out = planes.mutable_data();
  const GilReleased release;
  WriteBgr(view, table, planes.strides(1) / kFloat, planes.strides(0) / kFloat, out);
}

}  // namespace

void BindPlanes(py::module_& module) {
  module.def(
      "lay_planes", &LayOnCanvas, py::arg("pixels"), py::arg("size"), py::kw_only(),
      py::arg("mean"), py::arg("std"), py::arg("canvas").noconvert(),
      "Resizes pixels, uint8 [height, width, 3], to size (width, height), bilinear as Pillow "
      "does, normalises them, (value / 255 - mean) / std of each channel, and writes them "
      "to the top left of canvas, float32 [3, height, width], without the GIL. What lies "
      "beside them stays. Raises InvalidArgumentError for shapes that don't fit and for a "
      "canvas that is read-only.");
  module.def("write_bgr", &WriteBgrPlanes, py::arg("pixels"), py::arg("values"),
             py::arg("planes").noconvert(),
             "Writes what stands for each sample of RGB pixels, uint8 [height, width, 3], to the "
             "planes blue, green and red, float32 [3, height, width], whose rows may lie apart, "
             "without the GIL; values, float32 [3, 256], has the number of each sample, a row a "
             "plane. Raises InvalidArgumentError for shapes that don't fit and for planes that "
             "are read-only or whose pixels lie apart.");
}

}  // namespace vista::python
