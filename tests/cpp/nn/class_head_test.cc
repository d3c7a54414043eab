#include "nn/class_head.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "networks.h"

namespace vista::nn {
namespace {

using testing::Uniform;

class ClassHeadOn : public testing::OnKernels {};
VISTA_ON_EACH_KERNELS(ClassHeadOn);

struct Found {
  std::vector<std::int64_t> classes;
  std::vector<float> probabilities;
};

Found RunOn(const ClassHead& head, const std::vector<float>& rows, int count,
            std::int64_t ignored = -1, int threads = 1) {
  Found found = {std::vector<std::int64_t>(count, -7), std::vector<float>(count, -7)};
  const Status status = head.Run(rows.data(), count, ignored, threads, found.classes.data(),
                                 found.probabilities.data());
  EXPECT_TRUE(status.ok()) << status.message();
  return found;
}

ClassHead Make(const std::vector<float>& weights, const std::vector<float>& bias, int products,
               const Kernels& kernels) {
  const int classes = static_cast<int>(bias.size());
  const int depth = static_cast<int>(weights.size()) / classes;
  return std::move(ClassHead::Make(weights.data(), classes, depth, bias, products, kernels))
      .value();
}

float AsBf16(float x) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000U;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}

// [count, bias.size()], of what one product or three multiply.
std::vector<double> Logits(std::vector<float> rows, std::vector<float> weights,
                           const std::vector<float>& bias, int products) {
  if (products == 1) {
    std::transform(rows.begin(), rows.end(), rows.begin(), AsBf16);
    std::transform(weights.begin(), weights.end(), weights.begin(), AsBf16);
  }
  const std::size_t classes = bias.size();
  const std::size_t depth = weights.size() / classes;
  std::vector<double> by_depth(weights.size());
  for (std::size_t c = 0; c < classes; ++c)
    for (std::size_t k = 0; k < depth; ++k) by_depth[k * classes + c] = weights[c * depth + k];
  std::vector<double> logits;
  for (std::size_t row = 0; row < rows.size() / depth; ++row) {
    std::vector<double> sums(bias.begin(), bias.end());
    for (std::size_t k = 0; k < depth; ++k)
      for (std::size_t c = 0; c < classes; ++c)
        sums[c] += rows[row * depth + k] * by_depth[k * classes + c];
    logits.insert(logits.end(), sums.begin(), sums.end());
  }
  return logits;
}

TEST_P(ClassHeadOn, IsThatOfDoubles) {
  std::mt19937 random(1);
  for (const int classes : {17, 1024, 5000}) {
    for (const int depth : {5, 120, 128}) {
      const auto weights = Uniform(static_cast<std::size_t>(classes) * depth, random);
      const auto bias = Uniform(classes, random);
      const auto rows = Uniform(static_cast<std::size_t>(300) * depth, random);
      for (const int products : {1, 3}) {
        const ClassHead head = Make(weights, bias, products, kernels());
        EXPECT_EQ(head.depth(), depth);
        const std::vector<double> logits = Logits(rows, weights, bias, products);
        for (const int count : {1, 33, 300}) {
          const Found found = RunOn(head, rows, count);
          for (int row = 0; row < count; ++row) {
            const double* const own = &logits[static_cast<std::size_t>(row) * classes];
            const double largest = *std::max_element(own, own + classes);
            const std::int64_t best = found.classes[row];
            ASSERT_TRUE(best >= 0 && best < classes) << best;
            // Two that are this close may change places.
            ASSERT_GE(own[best], largest - 2e-4) << classes << " x " << depth << ", row " << row;
            double sum = 0;
            for (int c = 0; c < classes; ++c) sum += std::exp(own[c] - own[best]);
            ASSERT_NEAR(found.probabilities[row] * sum, 1, 1e-3)
                << classes << " x " << depth << ", row " << row << ", products " << products;
          }
        }
      }
    }
  }
}

TEST_P(ClassHeadOn, OtherRowsAndThreadsDoNotMatter) {
  std::mt19937 random(2);
  constexpr int kDepthOfRows = 40, kRows = 300;
  const ClassHead head =
      Make(Uniform(3000 * kDepthOfRows, random), Uniform(3000, random), 3, kernels());
  const auto rows = Uniform(kRows * kDepthOfRows, random);
  const Found all = RunOn(head, rows, kRows);
  const Found shared = RunOn(head, rows, kRows, -1, 3);
  EXPECT_EQ(shared.classes, all.classes);
  EXPECT_EQ(shared.probabilities, all.probabilities);
  for (const int row : {0, 31, 32, 255, 256, 299}) {
    const auto begin = rows.begin() + row * kDepthOfRows;
    const Found one = RunOn(head, {begin, begin + kDepthOfRows}, 1);
    EXPECT_EQ(one.classes[0], all.classes[row]);
    EXPECT_EQ(one.probabilities[0], all.probabilities[row]);
  }
}

TEST_P(ClassHeadOn, TheIgnoredClassHasNoProbability) {
  std::mt19937 random(3);
  constexpr int kRows = 300;
  for (const int products : {1, 3}) {
    const ClassHead head = Make(Uniform(17 * 8, random), Uniform(17, random), products, kernels());
    const auto rows = Uniform(kRows * 8, random);
    const Found all = RunOn(head, rows, kRows);
    for (const std::int64_t ignored : {all.classes[0], all.classes[kRows - 1]}) {
      const Found some = RunOn(head, rows, kRows, ignored);
      EXPECT_EQ(some.classes, all.classes);
      for (int row = 0; row < kRows; ++row) {
        ASSERT_EQ(some.probabilities[row], all.classes[row] == ignored ? 0 : all.probabilities[row])
            << row;
      }
    }
    EXPECT_EQ(RunOn(head, rows, 1, all.classes[0]).probabilities[0], 0);
  }
}

TEST_P(ClassHeadOn, OfEqualClassesTheFirstCounts) {
  const std::vector<float> rows(33 * 4, 1);
  for (const int classes : {17, 1024, 5000}) {
    for (const std::vector<int>& largest : {std::vector{0, 16},
                                            {15, 16},
                                            {3, 2, 16},
                                            {16},
                                            {4999, 1500, 1499},
                                            {1024, 1023},
                                            {4000, 2050, 2033}}) {
      std::vector<float> bias(classes, -3);
      int first = classes;
      int count = 0;
      for (const int c : largest) {
        if (c >= classes) continue;
        bias[c] = 2;
        first = std::min(first, c);
        ++count;
      }
      if (count == 0) continue;
      const ClassHead head = Make(std::vector<float>(4UL * classes), bias, 3, kernels());
      const Found found = RunOn(head, rows, 33);
      const double sum = count + (classes - count) * std::exp(-5.0);
      for (int row = 0; row < 33; ++row) {
        ASSERT_EQ(found.classes[row], first) << classes;
        ASSERT_NEAR(found.probabilities[row], 1 / sum, 1e-5);
      }
    }
    const ClassHead even =
        Make(std::vector<float>(4UL * classes), std::vector<float>(classes, -100), 3, kernels());
    const Found found = RunOn(even, rows, 33);
    EXPECT_EQ(found.classes, std::vector<std::int64_t>(33, 0));
    EXPECT_NEAR(found.probabilities[32] * classes, 1, 1e-4);
  }
}

}  // namespace
}  // namespace vista::nn
