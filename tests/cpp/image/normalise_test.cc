#include "image/normalise.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "images.h"

namespace vista {
namespace {

constexpr Channels kMean = {0.48145466, 0.4578275, 0.40821073};
constexpr Channels kStd = {0.26862954, 0.26130258, 0.27577711};

void ExpectTheTablesValues(const NormaliseKernel& kernel, const NormalisationTable& table) {
  const Pixels pixels = testing::Noise(100, 5, 1);
  for (const int width : {1, 2, 14, 15, 16, 17, 32, 33, 99}) {
    const std::size_t plane = static_cast<std::size_t>(width) * 5 + 3;
    std::vector<float> out(3 * plane, 77.0f);
    kernel.block(pixels.data() + 3, pixels.view().stride, width, 5, table, out.data(), plane);
    for (int c = 0; c < 3; ++c) {
      for (int y = 0; y < 5; ++y) {
        for (int x = 0; x < width; ++x) {
          const std::uint8_t value = pixels.view().row(y)[3 * (x + 1) + c];
          ASSERT_EQ(
              out[static_cast<std::size_t>(c) * plane + static_cast<std::size_t>(y * width + x)],
              table.value[static_cast<std::size_t>(c)][value])
              << kernel.name << ", width " << width;
        }
      }
      ASSERT_EQ(out[static_cast<std::size_t>(c + 1) * plane - 1], 77.0f) << "wrote past the plane";
    }
  }
}

TEST(Normalise, GivesTheSameBitsOnEveryInstructionSet) {
  for (const Channels& mean : {kMean, Channels{0.5, 0.5, 0.5}, Channels{0.485, 0.456, 0.406}}) {
    NormalisationTable table = std::move(MakeNormalisationTable(mean, kStd)).value();
    for (const NormaliseKernel* kernel : UsableNormaliseKernels()) {
      EXPECT_EQ(table.computable, UsableNormaliseKernels().back()->computes != nullptr);
      ExpectTheTablesValues(*kernel, table);
    }
  }
}

TEST(Normalise, LooksUpWhatItDoesNotCompute) {
  NormalisationTable table = std::move(MakeNormalisationTable(kMean, kStd)).value();
  table.value[1][200] += 1.0f;
  for (const NormaliseKernel* kernel : UsableNormaliseKernels()) {
    EXPECT_FALSE(kernel->computes != nullptr && kernel->computes(table));
    table.computable = false;
    ExpectTheTablesValues(*kernel, table);
  }
}

TEST(Normalise, RefusesNumbersWithoutMeaning) {
  for (const Channels& std : {Channels{0, 1, 1}, Channels{1, -1, 1}, Channels{1, 1, NAN}}) {
    EXPECT_EQ(MakeNormalisationTable(kMean, std).status().code(), StatusCode::kInvalidArgument);
  }
  EXPECT_FALSE(MakeNormalisationTable({INFINITY, 0, 0}, kStd).ok());
}

}  // namespace
}  // namespace vista
