// Drawing on a copy of an image.
#pragma once

#include <span>

#include "base/status.h"
#include "image/box.h"
#include "image/pixels.h"
#include "image/rotate.h"

namespace vista {

// The outline of a box, `width` pixels thick, drawn inside its edges.
struct Outline {
  Box box;
  Color color;
  int width;
};

// A copy of the source with the outlines drawn over it in order. The boxes must lie inside the
// source.
Result<Pixels> DrawBoxes(const PixelView& source, std::span<const Outline> outlines);

}  // namespace vista
