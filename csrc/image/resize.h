// Resizing with antialiasing, equal to Pillow's Image.resize on RGB bit for bit.
#pragma once

#include <array>

#include "base/status.h"
#include "image/pixels.h"

namespace vista {

struct ResampleKernels;

// kBicubic has a = -0.5, kLanczos three lobes.
enum class Filter { kNearest, kBox, kBilinear, kBicubic, kLanczos };

// The whole source, resized.
Result<Pixels> Resize(const PixelView& source, Size size, Filter filter);

// The part (left, top, right, bottom) of the source, resized. Edges may lie between pixels, and
// filters look beyond them as far as the source reaches, as with Pillow's `box`. The part must lie
// inside the source and not be empty.
Result<Pixels> Resize(const PixelView& source, Size size, Filter filter,
                      const std::array<float, 4>& part);

// The same by these loops instead of the fastest; no bit depends on which.
Result<Pixels> Resize(const PixelView& source, Size size, Filter filter,
                      const std::array<float, 4>& part, const ResampleKernels& kernels);

}  // namespace vista
