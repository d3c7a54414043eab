#include "base/metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "base/clock.h"

namespace vista {
namespace {

TEST(Histogram, IsZeroWhenEmpty) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.mean(), 0);
  EXPECT_EQ(histogram.Quantile(0.5), 0U);
}

TEST(Histogram, IsExactForSmallValues) {
  Histogram histogram;
  for (std::uint64_t value = 1; value <= 10; ++value) histogram.Add(value);
  EXPECT_EQ(histogram.mean(), 5.5);
  EXPECT_EQ(histogram.Quantile(0.5), 5U);
  EXPECT_EQ(histogram.Quantile(1.0), 10U);
  EXPECT_EQ(histogram.Quantile(0.0), 1U);
}

TEST(Histogram, CountsWithinPowersOfTwoExactly) {
  Histogram histogram;
  for (std::uint64_t value = 0; value < 1000; ++value) histogram.Add(value);
  EXPECT_EQ(histogram.CountWithin(0), 1U);
  for (int bits = 1; bits < 10; ++bits) EXPECT_EQ(histogram.CountWithin(bits), 1U << bits);
  EXPECT_EQ(histogram.CountWithin(10), 1000U);
  EXPECT_EQ(histogram.CountWithin(64), 1000U);
  EXPECT_EQ(histogram.sum(), 499500);
}

TEST(Histogram, BoundsQuantilesWithinABucket) {
  std::mt19937_64 random(7);
  std::lognormal_distribution<double> draw(12, 3);
  Histogram histogram;
  std::vector<std::uint64_t> values;
  for (int i = 0; i < 10000; ++i) {
    values.push_back(static_cast<std::uint64_t>(draw(random)));
    histogram.Add(values.back());
  }
  std::sort(values.begin(), values.end());
  for (const double share : {0.01, 0.5, 0.9, 0.99}) {
    const auto exact = values[static_cast<std::size_t>(share * 10000) - 1];
    EXPECT_GE(histogram.Quantile(share), exact);
    EXPECT_LE(static_cast<double>(histogram.Quantile(share)),
              static_cast<double>(exact) * 1.125 + 1);
  }
  EXPECT_EQ(histogram.max(), values.back());
}

TEST(Histogram, TakesTheLargestValue) {
  constexpr auto kLargest = std::numeric_limits<std::uint64_t>::max();
  Histogram histogram;
  histogram.Add(kLargest);
  EXPECT_EQ(histogram.Quantile(0.5), kLargest);
}

TEST(Clock, NeverOverflows) {
  EXPECT_EQ(After(TimePoint(Duration(5)), Duration(7)), TimePoint(Duration(12)));
  EXPECT_EQ(After(TimePoint(Duration(5)), Duration::max()), kNever);
}

}  // namespace
}  // namespace vista
