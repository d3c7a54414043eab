#include "image/draw.h"

#include <gtest/gtest.h>

#include "images.h"

namespace vista {
namespace {

using testing::Blank;

bool IsDrawn(const Pixels& pixels, int x, int y) { return pixels.view().row(y)[3 * x] != 0; }

TEST(DrawBoxes, DrawsInsideTheEdgesAndLeavesTheSourceAlone) {
  const Pixels source = Blank(12, 10);
  const Box box = {2, 1, 9, 8};
  const Outline outline = {box, {200, 100, 50}, 2};
  const Pixels drawn = std::move(DrawBoxes(source.view(), {&outline, 1})).value();
  for (int y = 0; y < 10; ++y) {
    for (int x = 0; x < 12; ++x) {
      const bool inside = x >= box.left && x < box.right && y >= box.top && y < box.bottom;
      const bool interior = x >= 4 && x < 7 && y >= 3 && y < 6;
      EXPECT_EQ(IsDrawn(drawn, x, y), inside && !interior) << x << ", " << y;
      EXPECT_FALSE(IsDrawn(source, x, y));
    }
  }
  EXPECT_EQ(drawn.view().row(1)[3 * 2 + 1], 100);
  EXPECT_EQ(drawn.view().row(1)[3 * 2 + 2], 50);
}

TEST(DrawBoxes, AThickOutlineFillsTheBoxAndNoMore) {
  const Outline outline = {{3, 3, 6, 5}, {255, 255, 255}, kMaxSide};
  const Pixels drawn = std::move(DrawBoxes(Blank(9, 9).view(), {&outline, 1})).value();
  int count = 0;
  for (int y = 0; y < 9; ++y) {
    for (int x = 0; x < 9; ++x) count += IsDrawn(drawn, x, y) ? 1 : 0;
  }
  EXPECT_EQ(count, 6);
}

TEST(DrawBoxes, LaterOutlinesLieOnTop) {
  const Outline outlines[] = {{{0, 0, 4, 4}, {10, 0, 0}, 1}, {{0, 0, 4, 4}, {20, 0, 0}, 1}};
  const Pixels drawn = std::move(DrawBoxes(Blank(4, 4).view(), outlines)).value();
  EXPECT_EQ(drawn.view().row(0)[0], 20);
}

}  // namespace
}  // namespace vista
