// The eight ways to lay an image down without resampling it.
#pragma once

#include "base/status.h"
#include "image/box.h"
#include "image/pixels.h"

namespace vista {

// Named by what is done to the stored pixels; the numbers are EXIF's tag Orientation. Turns are
// counterclockwise.
enum class Orientation {
  kNone = 1,
  kFlipHorizontally = 2,
  kTurn180 = 3,
  kFlipVertically = 4,
  kTranspose = 5,
  kTurn270 = 6,
  kTransverse = 7,
  kTurn90 = 8,
};

Result<Pixels> Orient(const PixelView& source, Orientation orientation);

// The size of an image that is stored in that size.
Size OrientedSize(Size stored, Orientation orientation);

// The box of the stored pixels that Orient lays into `upright`.
Box StoredBox(const Box& upright, Size stored, Orientation orientation);

}  // namespace vista
