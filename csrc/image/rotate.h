// Rotation by any angle.
#pragma once

#include <array>

#include "base/status.h"
#include "image/pixels.h"
#include "image/resize.h"

namespace vista {

using Color = std::array<std::uint8_t, 3>;  // red, green, blue

struct RotateOptions {
  Filter filter = Filter::kBicubic;  // nearest, bilinear or bicubic
  bool expand = true;                // grow the image so that all of it is seen, else keep its size
  Color fill = {0, 0, 0};            // what shows where the source does not reach
};

// Turns the image counterclockwise about its centre, equal to Pillow's Image.rotate on RGB bit for
// bit (sides below 32768 pixels). Quarter turns that fit are exact. The angle must be finite and
// within a million degrees.
Result<Pixels> Rotate(const PixelView& source, double degrees, const RotateOptions& options);

}  // namespace vista
