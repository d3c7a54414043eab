#include "image/box.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

namespace vista {
namespace {

std::string Text(const std::array<double, 4>& edges, Size image) {
  char text[192];
  std::snprintf(text, sizeof text, "box (%.6g, %.6g, %.6g, %.6g) of an image of %d x %d pixels",
                edges[0], edges[1], edges[2], edges[3], image.width, image.height);
  return text;
}

int Clamp(double edge, int limit) {
  return static_cast<int>(std::clamp(edge, 0.0, static_cast<double>(limit)));
}

}  // namespace

Result<Box> ResolveBox(const std::array<double, 4>& edges, Size image) {
  const auto [left, top, right, bottom] = edges;
  if (!std::all_of(edges.begin(), edges.end(), [](double edge) { return std::isfinite(edge); })) {
    return Status::InvalidArgument(Text(edges, image) +
                                   " has a value that is not finite; give four pixel coordinates");
  }
  if (left >= right || top >= bottom) {
    return Status::InvalidArgument(
        Text(edges, image) +
        " is empty or reversed; give (left, top, right, bottom) with left < right and "
        "top < bottom");
  }
  const Box box = {Clamp(std::floor(left), image.width), Clamp(std::floor(top), image.height),
                   Clamp(std::ceil(right), image.width), Clamp(std::ceil(bottom), image.height)};
  if (box.left >= box.right || box.top >= box.bottom) {
    return Status::InvalidArgument(Text(edges, image) +
                                   " lies outside the image; give a box that overlaps it");
  }
  return box;
}

PixelView Region(const PixelView& view, const Box& box) {
  return {view.row(box.top) + 3 * static_cast<std::ptrdiff_t>(box.left), box.size(), view.stride};
}

}  // namespace vista
