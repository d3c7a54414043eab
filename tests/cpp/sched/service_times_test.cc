#include "sched/service_times.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace vista::sched {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

void Observe(ServiceTimes* times, std::size_t calls, Duration took, double size = 1) {
  times->Observe(std::vector<double>(calls, size), took);
}

TEST(ServiceTimes, GuessesUntilTheFirstBatchHasEnded) {
  const ServiceTimes times;
  EXPECT_EQ(times.OfBatch(1), milliseconds(1));
  EXPECT_EQ(times.OfCall(1), milliseconds(1));
  EXPECT_EQ(times.OfCall(1e9), milliseconds(1));
}

TEST(ServiceTimes, FindsTheLineBehindNoisyBatches) {
  ServiceTimes times;
  std::mt19937 random(1);
  std::uniform_real_distribution<double> noise(0.9, 1.1);
  for (int i = 0; i < 300; ++i) {
    const std::size_t calls = 1 + random() % 16;
    const double us = (5000.0 + 250.0 * static_cast<double>(calls)) * noise(random);
    Observe(&times, calls, microseconds(static_cast<int>(us)));
  }
  EXPECT_NEAR(times.Fixed() / microseconds(1), 5000, 500);
  EXPECT_NEAR(times.PerCall() / microseconds(1), 250, 50);
  EXPECT_NEAR(times.OfBatch(16) / microseconds(1), 9000, 600);
}

TEST(ServiceTimes, TakesHalfForFixedWhileAllBatchesAreAlike) {
  ServiceTimes times;
  for (int i = 0; i < 50; ++i) Observe(&times, 4, milliseconds(8));
  EXPECT_NEAR(times.Fixed() / microseconds(1), 4000, 1);
  EXPECT_NEAR(times.OfBatch(4) / microseconds(1), 8000, 1);
}

TEST(ServiceTimes, FollowsAChange) {
  ServiceTimes times;
  for (int i = 0; i < 100; ++i) Observe(&times, 1 + i % 4, milliseconds(2));
  for (int i = 0; i < 100; ++i) Observe(&times, 1 + i % 4, milliseconds(20));
  EXPECT_NEAR(times.OfBatch(2) / microseconds(1), 20000, 300);
}

TEST(ServiceTimes, IsNotThrownByOneBatchThatWasInterrupted) {
  ServiceTimes times;
  for (int i = 0; i < 100; ++i) Observe(&times, 1 + i % 4, milliseconds(2));
  Observe(&times, 2, std::chrono::seconds(10));
  EXPECT_LT(times.OfBatch(2), milliseconds(3));
}

TEST(ServiceTimes, ChargesEachSizeClassItsShare) {
  ServiceTimes times;
  for (int i = 0; i < 50; ++i) times.Observe(std::vector<double>{1, 1, 8}, milliseconds(10));
  EXPECT_NEAR(times.OfCall(1) / microseconds(1), 1000, 1);
  EXPECT_NEAR(times.OfCall(8) / microseconds(1), 8000, 1);
  EXPECT_NEAR(times.OfCall(16) / microseconds(1), 16000, 1) << "scaled from the nearest class";
}

TEST(ServiceTimes, TellsABatchOfLargeCallsFromOneOfSmallCalls) {
  ServiceTimes times;
  for (int i = 0; i < 20; ++i) {
    Observe(&times, 1, milliseconds(1), 1);
    Observe(&times, 1, milliseconds(100), 1000);
  }
  EXPECT_NEAR(times.OfBatch(1) / microseconds(1), 1000, 100);
  EXPECT_NEAR(times.OfBatch(1000) / microseconds(1), 100000, 1000);
}

TEST(ServiceTimes, TakesAnySize) {
  ServiceTimes times;
  times.Observe(std::vector<double>{1e-300, 1e300}, milliseconds(1));
  for (const double size : {1e-300, 1.0, 1e300}) {
    for (const Duration each : {times.OfCall(size), times.OfBatch(size)}) {
      EXPECT_GE(each, Duration(0));
      EXPECT_LT(each, std::chrono::hours(24 * 365));
    }
  }
}

}  // namespace
}  // namespace vista::sched
