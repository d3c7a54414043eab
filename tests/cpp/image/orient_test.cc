#include "image/orient.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "image/exif.h"
#include "images.h"

namespace vista {
namespace {

struct OrientCase {
  Orientation orientation;
  // Where output pixel (x, y) comes from in a source of that size.
  std::function<std::pair<int, int>(int x, int y, Size source)> from;
};

TEST(Orient, MovesEveryPixelWhereItBelongs) {
  const OrientCase cases[] = {
      {Orientation::kNone, [](int x, int y, Size) { return std::pair(x, y); }},
      {Orientation::kFlipHorizontally,
       [](int x, int y, Size s) { return std::pair(s.width - 1 - x, y); }},
      {Orientation::kTurn180,
       [](int x, int y, Size s) { return std::pair(s.width - 1 - x, s.height - 1 - y); }},
      {Orientation::kFlipVertically,
       [](int x, int y, Size s) { return std::pair(x, s.height - 1 - y); }},
      {Orientation::kTranspose, [](int x, int y, Size) { return std::pair(y, x); }},
      {Orientation::kTurn270, [](int x, int y, Size s) { return std::pair(y, s.height - 1 - x); }},
      {Orientation::kTransverse,
       [](int x, int y, Size s) { return std::pair(s.width - 1 - y, s.height - 1 - x); }},
      {Orientation::kTurn90, [](int x, int y, Size s) { return std::pair(s.width - 1 - y, x); }},
  };
  for (const Size size : {Size{5, 3}, Size{33, 70}, Size{1, 9}}) {
    const Pixels source = testing::Noise(size.width, size.height, 7);
    for (const OrientCase& each : cases) {
      const Pixels out = std::move(Orient(source.view(), each.orientation)).value();
      const bool swapped = static_cast<int>(each.orientation) >= 5;
      ASSERT_EQ(out.size(), (swapped ? Size{size.height, size.width} : size));
      for (int y = 0; y < out.size().height; ++y) {
        for (int x = 0; x < out.size().width; ++x) {
          const auto [from_x, from_y] = each.from(x, y, size);
          ASSERT_EQ(
              std::memcmp(out.view().row(y) + 3 * x, source.view().row(from_y) + 3 * from_x, 3), 0)
              << static_cast<int>(each.orientation) << " at " << x << ", " << y;
        }
      }
    }
  }
}

std::vector<std::uint8_t> Exif(bool little, std::uint16_t type, std::uint32_t value) {
  std::vector<std::uint8_t> exif;
  const auto number = [&](std::uint32_t n, int size) {
    for (int i = 0; i < size; ++i) {
      exif.push_back(static_cast<std::uint8_t>(n >> (8 * (little ? i : size - 1 - i))));
    }
  };
  exif.assign(2, little ? 'I' : 'M');
  number(42, 2);
  number(8, 4);
  number(2, 2);
  number(0x0100, 2), number(4, 2), number(1, 4), number(640, 4);
  number(0x0112, 2), number(type, 2), number(1, 4);
  if (type == 3) {
    number(value, 2), number(0, 2);
  } else {
    number(value, 4);
  }
  return exif;
}

TEST(ExifOrientation, ReadsBothByteOrders) {
  for (const bool little : {true, false}) {
    for (const std::uint16_t type : {3, 4}) {
      for (std::uint32_t value = 1; value <= 8; ++value) {
        EXPECT_EQ(static_cast<std::uint32_t>(ExifOrientation(Exif(little, type, value))), value);
      }
    }
    EXPECT_EQ(ExifOrientation(Exif(little, 3, 0)), Orientation::kNone);
    EXPECT_EQ(ExifOrientation(Exif(little, 3, 9)), Orientation::kNone);
    EXPECT_EQ(ExifOrientation(Exif(little, 2, 6)), Orientation::kNone);
  }
}

TEST(ExifOrientation, SurvivesDamage) {
  const std::vector<std::uint8_t> exif = Exif(true, 3, 6);
  for (std::size_t size = 0; size < exif.size(); ++size) {
    ExifOrientation(std::span(exif).first(size));
  }
  EXPECT_EQ(ExifOrientation(std::span(exif).first(20)), Orientation::kNone);
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    std::vector<std::uint8_t> damaged = exif;
    for (int changes = 0; changes < 3; ++changes) {
      damaged[random() % damaged.size()] = static_cast<std::uint8_t>(random());
    }
    const int number = static_cast<int>(ExifOrientation(damaged));
    ASSERT_TRUE(number >= 1 && number <= 8);
  }
}

}  // namespace
}  // namespace vista
