#include "image/draw.h"

#include <algorithm>

namespace vista {
namespace {

void FillBox(const Box& box, const Color& color, Pixels* out) {
  for (int y = box.top; y < box.bottom; ++y) {
    std::uint8_t* to = out->row(y) + 3 * static_cast<std::ptrdiff_t>(box.left);
    for (int x = box.left; x < box.right; ++x, to += 3) std::copy(color.begin(), color.end(), to);
  }
}

}  // namespace

Result<Pixels> DrawBoxes(const PixelView& source, std::span<const Outline> outlines) {
  Result<Pixels> result = Copy(source);
  if (!result.ok()) return result;
  for (const auto& [box, color, width] : outlines) {
    const int down = std::min(width, box.bottom - box.top);
    const int across = std::min(width, box.right - box.left);
    FillBox({box.left, box.top, box.right, box.top + down}, color, &result.value());
    FillBox({box.left, box.bottom - down, box.right, box.bottom}, color, &result.value());
    FillBox({box.left, box.top, box.left + across, box.bottom}, color, &result.value());
    FillBox({box.right - across, box.top, box.right, box.bottom}, color, &result.value());
  }
  return result;
}

}  // namespace vista
