#include "image/orient.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace vista {
namespace {

// How the stored pixels are walked to lay the image down.
struct Walk {
  bool from_right;
  bool from_bottom;
  bool swapped;  // rows become columns
};

Walk WalkOf(Orientation orientation) {
  const int number = static_cast<int>(orientation);
  return {number == 2 || number == 3 || number == 7 || number == 8,
          number == 3 || number == 4 || number == 6 || number == 7, number >= 5};
}

}  // namespace

Size OrientedSize(Size stored, Orientation orientation) {
  return WalkOf(orientation).swapped ? Size{stored.height, stored.width} : stored;
}

Box StoredBox(const Box& upright, Size stored, Orientation orientation) {
  const auto [from_right, from_bottom, swapped] = WalkOf(orientation);
  Box box = swapped ? Box{upright.top, upright.left, upright.bottom, upright.right} : upright;
  if (from_right) {
    box = {stored.width - box.right, box.top, stored.width - box.left, box.bottom};
  }
  if (from_bottom) {
    box = {box.left, stored.height - box.bottom, box.right, stored.height - box.top};
  }
  return box;
}

Result<Pixels> Orient(const PixelView& source, Orientation orientation) {
  const auto [from_right, from_bottom, swapped] = WalkOf(orientation);
  const auto [width, height] = source.size;
  // The walk through the source: where it starts, and its steps along an output row and down an
  // output column.
  const std::uint8_t* start = source.row(from_bottom ? height - 1 : 0) +
                              3 * static_cast<std::ptrdiff_t>(from_right ? width - 1 : 0);
  std::ptrdiff_t along = from_right ? -3 : 3;
  std::ptrdiff_t down = from_bottom ? -source.stride : source.stride;
  if (swapped) std::swap(along, down);

  Result<Pixels> result = Pixels::Allocate(OrientedSize(source.size, orientation));
  if (!result.ok()) return result;
  Pixels& out = result.value();
  // In tiles, so that a walk down the source's columns stays in the cache.
  constexpr int kTile = 32;
  const Size size = out.size();
  for (int top = 0; top < size.height; top += kTile) {
    for (int left = 0; left < size.width; left += kTile) {
      const int right = std::min(left + kTile, size.width);
      for (int y = top; y < std::min(top + kTile, size.height); ++y) {
        const std::uint8_t* from = start + y * down + left * along;
        std::uint8_t* to = out.row(y) + 3 * static_cast<std::ptrdiff_t>(left);
        for (int x = left; x < right; ++x, from += along, to += 3) std::memcpy(to, from, 3);
      }
    }
  }
  return result;
}

}  // namespace vista
