// Resizing with antialiasing, equal to Pillow's Image.resize on RGB bit for bit.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/status.h"
#include "image/pixels.h"

namespace vista {

enum class Filter { kNearest, kBox, kBilinear, kBicubic, kLanczos };

// From its name in lower case: "nearest", "box", "bilinear", "bicubic" (a = -0.5), "lanczos" (three
// lobes).
Result<Filter> FilterFromName(std::string_view name);

// The whole source, resized.
Result<Pixels> Resize(const PixelView& source, Size size, Filter filter);

// The part (left, top, right, bottom) of the source, resized. Edges may lie between pixels, and
// filters look beyond them as far as the source reaches, as with Pillow's `box`. The part must lie
// inside the source and not be empty.
Result<Pixels> Resize(const PixelView& source, Size size, Filter filter,
                      const std::array<float, 4>& part);

}  // namespace vista
