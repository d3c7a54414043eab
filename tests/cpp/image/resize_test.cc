#include "image/resize.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <vector>

#include "image/box.h"
#include "image/resample_axis.h"
#include "image/resample_kernels.h"
#include "image/resample_packed.h"
#include "image/resample_rows.h"
#include "image/transpose.h"
#include "images.h"

namespace vista {
namespace {

using testing::Equal;
using testing::Noise;

constexpr Filter kSmooth[] = {Filter::kBox, Filter::kBilinear, Filter::kBicubic, Filter::kLanczos};

std::uint8_t WeighedSum(const std::vector<int>& values, const std::vector<std::int32_t>& weights) {
  std::int64_t sum = 1 << (kWeightBits - 1);
  for (std::size_t k = 0; k < values.size(); ++k) sum += std::int64_t{values[k]} * weights[k];
  return static_cast<std::uint8_t>(std::clamp<std::int64_t>(sum >> kWeightBits, 0, 255));
}

std::vector<std::int32_t> RandomWeights(int taps, std::mt19937* random) {
  std::vector<std::int32_t> weights(static_cast<std::size_t>(taps));
  for (std::int32_t& weight : weights) {
    weight =
        static_cast<std::int32_t>((*random)() % (1u << kWeightBits)) - (1 << (kWeightBits - 2));
    weight /= std::max(taps / 2, 1);
  }
  return weights;
}

TEST(ResampleKernels, EveryVerticalLoopGivesTheWeighedSum) {
  std::mt19937 random(1);
  for (const int taps : {0, 1, 2, 5, 13}) {
    for (const std::size_t bytes : {1u, 3u, 15u, 16u, 17u, 63u, 64u, 65u, 200u}) {
      const Pixels rows = Noise(100, std::max(taps, 1), static_cast<unsigned>(taps));
      const std::vector<std::int32_t> weights = RandomWeights(taps, &random);
      std::vector<const std::uint8_t*> pointers;
      for (int k = 0; k < taps; ++k) pointers.push_back(rows.view().row(k) + 1);
      for (const ResampleKernels* kernels : UsableResampleKernels()) {
        std::vector<std::uint8_t> out(bytes + 1, 77);
        kernels->vertical(pointers.data(), weights.data(), taps, bytes, out.data());
        for (std::size_t i = 0; i < bytes; ++i) {
          std::vector<int> values;
          for (const std::uint8_t* row : pointers) values.push_back(row[i]);
          ASSERT_EQ(out[i], WeighedSum(values, weights)) << taps << " taps, byte " << i;
        }
        ASSERT_EQ(out[bytes], 77) << "wrote past the end";
      }
    }
  }
}

TEST(ResampleKernels, EveryHorizontalLoopGivesTheWeighedSum) {
  std::mt19937 random(2);
  constexpr int kInputs = 9;
  constexpr int kOrigin = 4;
  const int first[] = {4, 5, 7, 12};
  const int count[] = {3, 5, 0, 1};
  constexpr int kStride = 5;
  const std::vector<std::int32_t> weights = RandomWeights(4 * kStride, &random);
  const Pixels columns = Noise(kLanes * kInputs, 1, 5);
  for (const ResampleKernels* kernels : UsableResampleKernels()) {
    std::vector<std::uint8_t> out(4 * 3 * kLanes);
    kernels->horizontal(columns.data(), kOrigin, {first, count, weights.data(), kStride}, 4,
                        out.data());
    for (int x = 0; x < 4; ++x) {
      for (int lane = 0; lane < 3 * kLanes; ++lane) {
        std::vector<int> values;
        for (int k = 0; k < count[x]; ++k) {
          values.push_back(columns.data()[3 * kLanes * (first[x] - kOrigin + k) + lane]);
        }
        const std::vector<std::int32_t> own(weights.begin() + kStride * x,
                                            weights.begin() + kStride * x + count[x]);
        ASSERT_EQ(out[static_cast<std::size_t>(3 * kLanes * x + lane)], WeighedSum(values, own));
      }
    }
  }
}

TEST(ResampleKernels, WeightsTooLargeForBytesGiveTheWeighedSum) {
  const Pixels rows = Noise(100, 2, 8);
  const std::vector<std::int32_t> weights = {8'400'000, -1000};  // just above 2.0
  const std::uint8_t* pointers[] = {rows.view().row(0), rows.view().row(1)};
  for (const ResampleKernels* kernels : UsableResampleKernels()) {
    std::uint8_t out[100];
    kernels->vertical(pointers, weights.data(), 2, sizeof out, out);
    for (std::size_t i = 0; i < sizeof out; ++i)
      ASSERT_EQ(out[i], WeighedSum({pointers[0][i], pointers[1][i]}, weights)) << kernels->name;
  }
}

// Rows of `width` pixels to `outputs`, each in memory of its own that ends where the row does.
std::vector<std::vector<std::uint8_t>> ResizedRows(const ResampleKernels& kernels, const Axis& axis,
                                                   const Pixels& source, int count) {
  const auto bytes = static_cast<std::size_t>(3 * axis.outputs());
  std::vector<std::vector<std::uint8_t>> out(static_cast<std::size_t>(count),
                                             std::vector<std::uint8_t>(bytes + 1, 77));
  RowResizer resizer(axis, kernels);
  const std::ptrdiff_t stride = source.view().stride;
  for (int y = 0; y < count; y += resizer.rows()) {
    const int some = std::min(resizer.rows(), count - y);
    std::uint8_t* to[kLanes];
    for (int i = 0; i < some; ++i) to[i] = out[static_cast<std::size_t>(y + i)].data();
    resizer.Run(source.view().row(y) + 3 * static_cast<std::ptrdiff_t>(axis.begin()), stride, some,
                to);
  }
  return out;
}

TEST(RowResizer, GivesTheSameBitsOnEveryInstructionSet) {
  constexpr int kRows = 7;
  for (const Filter filter : kSmooth) {
    for (const int width : {1, 2, 7, 21, 22, 40, 333, 1280}) {
      const Pixels source = Noise(width, kRows, static_cast<unsigned>(width));
      for (const int outputs : {1, 2, 4, 5, 6, 31, 448, 1500}) {
        const float margin = width > 20 ? 5.25f : 0.0f;
        const Axis axis(width, margin, static_cast<float>(width) - margin, outputs, filter);
        const auto expected = ResizedRows(generic::kKernels, axis, source, kRows);
        for (const auto& row : expected) ASSERT_EQ(row.back(), 77) << "wrote past the end";
        for (const ResampleKernels* kernels : UsableResampleKernels()) {
          ASSERT_EQ(ResizedRows(*kernels, axis, source, kRows), expected)
              << kernels->name << ", " << width << " to " << outputs << " pixels";
        }
      }
    }
  }
}

TEST(RowResizer, QuadsHoldTheRowsThatItMakes) {
  for (const ResampleKernels* kernels : UsableResampleKernels()) {
    for (const int outputs : {1, 5, 31, 448}) {
      const Pixels source = Noise(333, kPackedRows, static_cast<unsigned>(outputs));
      const Axis axis(333, 7.5f, 300.0f, outputs, Filter::kBicubic);
      const RowResizer resizer(axis, *kernels);
      if (!resizer.MakesQuads()) continue;
      for (const int count : {1, 3, kPackedRows}) {
        const auto rows = ResizedRows(generic::kKernels, axis, source, count);
        std::vector<std::uint8_t> quad(static_cast<std::size_t>(12 * outputs + kQuadSlack));
        resizer.RunQuad(source.view().row(0) + 3 * static_cast<std::ptrdiff_t>(axis.begin()),
                        source.view().stride, count, quad.data());
        for (std::size_t i = 0; i < static_cast<std::size_t>(3 * outputs); ++i) {
          for (std::size_t r = 0; r < rows.size(); ++r)
            ASSERT_EQ(quad[4 * i + r], rows[r][i]) << kernels->name << ", byte " << i;
        }
      }
    }
  }
}

TEST(PackedColumns, WeighQuadsAsTheVerticalLoopWeighsRows) {
  constexpr int kRows = 203;
  for (const ResampleKernels* kernels : UsableResampleKernels()) {
    if (kernels->vertical_quads == nullptr) continue;
    for (const int width : {1, 21, 22, 64, 75}) {
      const auto bytes = static_cast<std::size_t>(3 * width);
      const Pixels source = Noise(width, kRows, static_cast<unsigned>(width));
      for (const int outputs : {1, 9, 57, 203, 500}) {
        const Axis axis(kRows, 2.25f, 199.0f, outputs, Filter::kLanczos);
        const PackedColumns columns(axis);
        const int quad_count = (axis.end() - axis.begin() + kPackedRows - 1) / kPackedRows;
        std::vector<std::vector<std::uint8_t>> quads(static_cast<std::size_t>(quad_count));
        std::vector<const std::uint8_t*> begins;
        for (int q = 0; q < quad_count; ++q) {
          std::vector<std::uint8_t>& quad = quads[static_cast<std::size_t>(q)];
          quad.resize(4 * bytes + kQuadSlack);
          for (int r = 0; r < kPackedRows; ++r) {
            const std::uint8_t* row =
                source.view().row(std::min(axis.begin() + kPackedRows * q + r, axis.end() - 1));
            for (std::size_t i = 0; i < bytes; ++i)
              quad[4 * i + static_cast<std::size_t>(r)] = row[i];
          }
          begins.push_back(quad.data());
        }
        for (int y = 0; y < outputs; ++y) {
          std::vector<const std::uint8_t*> rows;
          for (int k = 0; k < axis.count(y); ++k)
            rows.push_back(source.view().row(axis.first(y) + k));
          std::vector<std::uint8_t> expected(bytes + 1, 77);
          std::vector<std::uint8_t> out(bytes + 1, 77);
          generic::kKernels.vertical(rows.data(), axis.weights(y), axis.count(y), bytes,
                                     expected.data());
          kernels->vertical_quads(begins.data() + columns.first(y), columns.digits(y),
                                  columns.count(y), bytes, out.data());
          ASSERT_EQ(out, expected) << width << " pixels, row " << y << " of " << outputs;
        }
      }
    }
  }
}

TEST(Transpose, TurnsRowsIntoColumnsAndBack) {
  const Pixels source = Noise(37, kLanes, 3);
  constexpr int kBytes = 3 * 37;
  const std::uint8_t* rows[kLanes];
  for (int i = 0; i < kLanes; ++i) rows[i] = source.view().row(i);
  std::vector<std::uint8_t> columns(kLanes * ((kBytes + kLanes - 1) / kLanes * kLanes));
  RowsToColumns(rows, kBytes, columns.data());
  for (int b = 0; b < kBytes; ++b) {
    for (int i = 0; i < kLanes; ++i)
      ASSERT_EQ(columns[static_cast<std::size_t>(b * kLanes + i)], rows[i][b]);
  }
  constexpr int kCount = 5;
  Pixels back = testing::Blank(37, kCount);
  std::uint8_t* to[kLanes];
  for (int i = 0; i < kCount; ++i) to[i] = back.row(i);
  ColumnsToRows(columns.data(), kBytes, kCount, to);
  EXPECT_EQ(0, std::memcmp(back.data(), source.data(), back.bytes()));
}

TEST(Resize, TheSameSizeIsACopy) {
  const Pixels source = Noise(31, 17, 1);
  for (const Filter filter : kSmooth) {
    EXPECT_TRUE(Equal(std::move(Resize(source.view(), {31, 17}, filter)).value(), source));
  }
}

TEST(Resize, AConstantStaysConstant) {
  Pixels source = testing::Blank(45, 33);
  std::fill_n(source.data(), source.bytes(), std::uint8_t{201});
  for (const Filter filter : kSmooth) {
    for (const Size size : {Size{7, 90}, Size{90, 7}, Size{1, 1}, Size{46, 32}}) {
      const Pixels out = std::move(Resize(source.view(), size, filter)).value();
      for (std::size_t i = 0; i < out.bytes(); ++i) ASSERT_EQ(out.data()[i], 201);
    }
  }
}

TEST(Resize, HalvingWithTheBoxFilterAveragesFourPixels) {
  const Pixels source = Noise(16, 12, 9);
  const Pixels out = std::move(Resize(source.view(), {8, 6}, Filter::kBox)).value();
  for (int y = 0; y < 6; ++y) {
    for (int i = 0; i < 24; ++i) {
      const int x = i / 3 * 6 + i % 3;
      const std::uint8_t* upper = source.view().row(2 * y);
      const std::uint8_t* lower = source.view().row(2 * y + 1);
      const int above = (upper[x] + upper[x + 3] + 1) / 2;
      const int below = (lower[x] + lower[x + 3] + 1) / 2;
      ASSERT_EQ(out.view().row(y)[i], (above + below + 1) / 2);
    }
  }
}

TEST(Resize, NearestRepeatsPixels) {
  const Pixels source = Noise(5, 4, 2);
  const Pixels out = std::move(Resize(source.view(), {15, 12}, Filter::kNearest)).value();
  for (int y = 0; y < 12; ++y) {
    for (int x = 0; x < 15; ++x) {
      ASSERT_EQ(0,
                std::memcmp(out.view().row(y) + 3 * x, source.view().row(y / 3) + 3 * (x / 3), 3));
    }
  }
}

TEST(Resize, OfARegionDoesNotSeeWhatLiesAround) {
  Pixels one = Noise(60, 50, 1);
  Pixels other = Noise(60, 50, 2);
  const Box box = {20, 10, 40, 35};
  for (int y = box.top; y < box.bottom; ++y) {
    std::memcpy(other.row(y) + 3 * box.left, one.row(y) + 3 * box.left, 3 * 20);
  }
  for (const Filter filter : kSmooth) {
    EXPECT_TRUE(Equal(std::move(Resize(Region(one.view(), box), {33, 44}, filter)).value(),
                      std::move(Resize(Region(other.view(), box), {33, 44}, filter)).value()));
  }
}

TEST(Resize, HoldsForExtremeShapes) {
  const Pixels wide = Noise(5000, 1, 1);
  const Pixels tall = Noise(1, 5000, 1);
  for (const Filter filter : kSmooth) {
    for (const Size size : {Size{1, 300}, Size{300, 1}, Size{2, 2}, Size{17, 5001}}) {
      EXPECT_TRUE(Resize(wide.view(), size, filter).ok());
      EXPECT_TRUE(Resize(tall.view(), size, filter).ok());
    }
  }
}

TEST(Resize, RefusesWrongPartsAndSizes) {
  const Pixels source = Noise(10, 10, 1);
  const float nan = std::nanf("");
  const std::array<float, 4> wrong[] = {{-1, 0, 5, 5}, {0, 0, 11, 5},  {5, 0, 5, 5},
                                        {6, 0, 5, 5},  {nan, 0, 5, 5}, {0, 0, 5, nan}};
  for (const auto& part : wrong) {
    EXPECT_EQ(Resize(source.view(), {4, 4}, Filter::kBox, part).status().code(),
              StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(Resize(source.view(), {0, 4}, Filter::kBox).status().code(),
            StatusCode::kInvalidArgument);
  EXPECT_EQ(Resize(source.view(), {50000, 50000}, Filter::kBox).status().code(),
            StatusCode::kResourceExhausted);
}

const ResampleKernels* UsableKernels(std::string_view name) {
  for (const ResampleKernels* kernels : UsableResampleKernels()) {
    if (kernels->name == name) return kernels;
  }
  return nullptr;
}

class ResizeOnInstructionSet : public ::testing::TestWithParam<const char*> {};

struct Shape {
  const char* route;  // through Resize
  Size source;
  Size size;
  std::array<float, 4> part;
};

constexpr Shape kShapes[] = {
    {"rows first", {333, 203}, {224, 151}, {0, 0, 333, 203}},
    {"rows first, to less than a step", {333, 203}, {3, 150}, {0, 0, 333, 203}},
    {"rows first, far fewer", {1280, 300}, {37, 29}, {0, 0, 1280, 300}},
    {"rows first, zoom", {41, 30}, {448, 335}, {0, 0, 41, 30}},
    {"rows first, of a part", {333, 203}, {448, 97}, {20.25f, 7.5f, 301.75f, 198.0f}},
    {"columns first", {100, 903}, {91, 102}, {0, 0, 100, 903}},
    {"columns first, of a part", {101, 903}, {150, 33}, {3.5f, 11.25f, 97.0f, 899.5f}},
    {"columns only", {200, 301}, {200, 77}, {0, 0, 200, 301}},
    {"columns only, zoom", {67, 31}, {67, 200}, {0, 0, 67, 31}},
    {"rows only", {301, 200}, {77, 200}, {0, 0, 301, 200}},
    {"rows only, zoom", {31, 67}, {500, 67}, {0, 0, 31, 67}},
    {"one pixel", {1, 1}, {33, 35}, {0, 0, 1, 1}},
    {"to one pixel", {67, 71}, {1, 1}, {0, 0, 67, 71}}};

TEST_P(ResizeOnInstructionSet, GivesTheBytesOfTheGenericLoops) {
  const ResampleKernels* kernels = UsableKernels(GetParam());
  if (kernels == nullptr) GTEST_SKIP() << "this processor has no " << GetParam();
  for (const Shape& shape : kShapes) {
    const Pixels source = Noise(shape.source.width, shape.source.height, 11);
    for (const Filter filter : kSmooth) {
      const auto by = [&](const ResampleKernels& set) {
        return std::move(Resize(source.view(), shape.size, filter, shape.part, set)).value();
      };
      EXPECT_TRUE(Equal(by(*kernels), by(generic::kKernels)))
          << shape.route << ", filter " << static_cast<int>(filter);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, ResizeOnInstructionSet,
                         ::testing::Values("generic", "avx2", "avx512", "vnni"),
                         [](const auto& set) { return std::string(set.param); });

TEST(Resize, TakesTheFastestLoopsUnlessToldOtherwise) {
  const Pixels source = Noise(333, 203, 1);
  const std::array<float, 4> whole = {0, 0, 333, 203};
  ResampleKernels idle = generic::kKernels;
  idle.vertical = [](const std::uint8_t* const*, const std::int32_t*, int, std::size_t bytes,
                     std::uint8_t* out) { std::fill_n(out, bytes, std::uint8_t{0}); };
  const Pixels black =
      std::move(Resize(source.view(), {50, 40}, Filter::kBox, whole, idle)).value();
  EXPECT_TRUE(Equal(black, testing::Blank(50, 40)));
  EXPECT_TRUE(
      Equal(std::move(Resize(source.view(), {50, 40}, Filter::kBox)).value(),
            std::move(Resize(source.view(), {50, 40}, Filter::kBox, whole, BestResampleKernels()))
                .value()));
}

}  // namespace
}  // namespace vista
