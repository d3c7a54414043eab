// Box: a rectangle of whole pixels, and the one rule that turns four numbers into one.
#pragma once

#include <array>

#include "base/status.h"
#include "image/pixels.h"

namespace vista {

// right and bottom lie outside.
struct Box {
  int left = 0;
  int top = 0;
  int right = 0;
  int bottom = 0;

  [[nodiscard]] Size size() const { return {right - left, bottom - top}; }
  friend bool operator==(const Box&, const Box&) = default;
};

// (left, top, right, bottom) in pixels of an image of that size: rounds outward, then clamps to the
// image. Not finite, reversed, or empty after that is an error.
Result<Box> ResolveBox(const std::array<double, 4>& edges, Size image);

// The part of a view inside a box, which must lie inside the view.
PixelView Region(const PixelView& view, const Box& box);

}  // namespace vista
