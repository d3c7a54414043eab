#include "image/rotate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "image/orient.h"
#include "images.h"

namespace vista {
namespace {

using testing::Equal;
using testing::Noise;

Pixels Turned(const Pixels& source, double degrees, const RotateOptions& options = {}) {
  return std::move(Rotate(source.view(), degrees, options)).value();
}

TEST(Rotate, QuarterTurnsAreExact) {
  const Pixels source = Noise(13, 8, 1);
  EXPECT_TRUE(Equal(Turned(source, 0), source));
  EXPECT_TRUE(Equal(Turned(source, -720), source));
  EXPECT_TRUE(
      Equal(Turned(source, 90), std::move(Orient(source.view(), Orientation::kTurn90)).value()));
  EXPECT_TRUE(Equal(Turned(source, -90), Turned(source, 270)));
  EXPECT_TRUE(Equal(Turned(Turned(source, 90), 270), source));
  EXPECT_TRUE(Equal(Turned(Turned(source, 180), 540), source));
}

TEST(Rotate, ExpandingKeepsEveryCorner) {
  const Pixels out = Turned(Noise(100, 100, 1), 45);
  EXPECT_EQ(out.size(), (Size{142, 142}));
}

TEST(Rotate, FillsWhatTheSourceDoesNotReach) {
  for (const Filter filter : {Filter::kNearest, Filter::kBilinear, Filter::kBicubic}) {
    const Pixels out = Turned(Noise(50, 50, 1), 45, {filter, true, {1, 2, 3}});
    EXPECT_EQ(out.data()[0], 1);
    EXPECT_EQ(out.data()[1], 2);
    EXPECT_EQ(out.data()[2], 3);
  }
}

TEST(Rotate, RefusesAnglesWithoutMeaning) {
  const Pixels source = Noise(4, 4, 1);
  for (const double angle :
       {1e30, -1e30, 1000001.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    const Status status = Rotate(source.view(), angle, {}).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("angle is"), std::string::npos) << status.message();
  }
  EXPECT_FALSE(Rotate(source.view(), 10, {Filter::kLanczos, true, {}}).ok());
}

TEST(Rotate, TinyAndLongImagesHold) {
  for (const Size size : {Size{1, 1}, Size{1, 3000}, Size{2, 2}, Size{40000, 2}}) {
    for (const Filter filter : {Filter::kNearest, Filter::kBilinear, Filter::kBicubic}) {
      for (const double angle : {1e-12, 0.01, 33.0, 359.9999}) {
        EXPECT_TRUE(
            Rotate(Noise(size.width, size.height, 1).view(), angle, {filter, false, {}}).ok());
      }
    }
  }
}

}  // namespace
}  // namespace vista
