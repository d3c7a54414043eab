// The input of a network that takes one normalised image, for batch functions in Python, which have
// an image's pixels and no engine to call.
#include <pybind11/numpy.h>
#include <pybind11/stl.h>

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
}

}  // namespace vista::python
