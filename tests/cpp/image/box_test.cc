#include "image/box.h"

#include <gtest/gtest.h>

#include <limits>

#include "images.h"

namespace vista {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr Size kImage = {100, 50};

struct BoxCase {
  std::array<double, 4> edges;
  Box box;
};

TEST(ResolveBox, RoundsOutwardThenClamps) {
  const BoxCase cases[] = {
      {{0, 0, 100, 50}, {0, 0, 100, 50}},           {{10, 20, 30, 40}, {10, 20, 30, 40}},
      {{10.9, 20.9, 30.1, 40.1}, {10, 20, 31, 41}}, {{10.2, 20.2, 10.3, 20.3}, {10, 20, 11, 21}},
      {{-5, -0.5, 1000, 1e300}, {0, 0, 100, 50}},   {{99.5, 49.5, 100.5, 50.5}, {99, 49, 100, 50}},
  };
  for (const BoxCase& each : cases) {
    const Result<Box> box = ResolveBox(each.edges, kImage);
    ASSERT_TRUE(box.ok()) << box.status().message();
    EXPECT_EQ(box.value(), each.box);
  }
}

struct BadCase {
  std::array<double, 4> edges;
  const char* message;
};

TEST(ResolveBox, SaysWhatIsWrong) {
  const BadCase cases[] = {
      {{kNan, 0, 1, 1}, "not finite"},  {{0, 0, kInf, 1}, "not finite"},
      {{5, 5, 5, 9}, "empty or"},       {{9, 5, 5, 9}, "reversed"},
      {{0, 9, 5, 5}, "reversed"},       {{100, 0, 120, 10}, "outside"},
      {{-9, -9, 0, 0}, "outside"},      {{0, 50, 10, 60}, "outside"},
      {{0, -1e300, 10, -1}, "outside"},
  };
  for (const BadCase& each : cases) {
    const Result<Box> box = ResolveBox(each.edges, kImage);
    ASSERT_FALSE(box.ok()) << each.edges[0];
    EXPECT_EQ(box.status().code(), StatusCode::kInvalidArgument);
    EXPECT_NE(box.status().message().find(each.message), std::string::npos)
        << box.status().message();
    EXPECT_NE(box.status().message().find("100 x 50"), std::string::npos);
  }
}

TEST(Region, IsAViewOfTheSamePixels) {
  const Pixels image = testing::Noise(20, 10, 1);
  const PixelView region = Region(image.view(), {3, 4, 8, 9});
  EXPECT_EQ(region.size, (Size{5, 5}));
  EXPECT_EQ(region.row(2), image.view().row(6) + 9);
}

}  // namespace
}  // namespace vista
