#include "sched/adaptive_policy.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "moments.h"
#include "sched/arrival_gaps.h"
#include "sched/service_times.h"

namespace vista::sched {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

ServiceTimes Line(int fixed_ms, int per_call_ms) {
  ServiceTimes times;
  for (int i = 0; i < 200; ++i) {
    const int calls = 1 + i % 8;
    times.Observe(std::vector<double>(static_cast<std::size_t>(calls), 1.0),
                  milliseconds(fixed_ms + per_call_ms * calls));
  }
  return times;
}

// Bursts of `size` calls a millisecond apart, a second between bursts.
ArrivalGaps Bursts(int size) {
  ArrivalGaps gaps;
  for (int burst = 0; burst < 40; ++burst) {
    for (int i = 0; i < size; ++i) gaps.Arrive(At(1000 * burst + i), true);
  }
  return gaps;
}

class AdaptivePolicy : public ::testing::Test {
 protected:
  static constexpr BatchPolicy kPolicy = {64, milliseconds(500), false, true};

  QueueView View(std::size_t waiting, TimePoint oldest, TimePoint latest) const {
    QueueView view;
    view.waiting = waiting;
    view.oldest_arrival = oldest;
    view.latest_arrival = latest;
    view.service_times = &times_;
    view.arrival_gaps = &gaps_;
    return view;
  }

  ServiceTimes times_ = Line(20, 1);
  ArrivalGaps gaps_ = Bursts(8);
};

TEST_F(AdaptivePolicy, WaitsForTheRestOfABurst) {
  const Decision decision = Decide(kPolicy, View(3, At(0), At(2)), At(2));
  EXPECT_FALSE(decision.close);
  EXPECT_GT(decision.look_again, At(3));
  EXPECT_LT(decision.look_again, At(10));
}

TEST_F(AdaptivePolicy, StopsWaitingWhenTheBurstIsOver) {
  const Decision decision = Decide(kPolicy, View(8, At(0), At(7)), At(12));
  EXPECT_TRUE(decision.close);
  EXPECT_EQ(decision.reason, CloseReason::kDelay);
  EXPECT_EQ(decision.size, 8U);
}

TEST_F(AdaptivePolicy, DoesNotWaitInATrickle) {
  gaps_ = ArrivalGaps();
  for (int i = 0; i < 100; ++i) gaps_.Arrive(At(200 * i), true);
  EXPECT_TRUE(Decide(kPolicy, View(1, At(0), At(0)), At(0)).close);
}

TEST_F(AdaptivePolicy, DoesNotWaitForCallsThatCannotJoin) {
  gaps_ = ArrivalGaps();
  for (int i = 0; i < 400; ++i) gaps_.Arrive(At(i), false);
  EXPECT_TRUE(Decide(kPolicy, View(1, At(0), At(0)), At(0)).close);
}

TEST_F(AdaptivePolicy, DoesNotWaitBeforeItKnowsAnything) {
  gaps_ = ArrivalGaps();
  EXPECT_TRUE(Decide(kPolicy, View(1, At(0), At(0)), At(0)).close);
}

TEST_F(AdaptivePolicy, DoesNotWaitWhereBatchesGainNothing) {
  times_ = Line(0, 20);
  const Decision decision = Decide(kPolicy, View(3, At(0), At(2)), At(2));
  EXPECT_TRUE(decision.close);
  EXPECT_LE(decision.size, 2U);
}

TEST_F(AdaptivePolicy, LeavesWorkForFreePullers) {
  times_ = Line(1, 5);
  QueueView view = View(40, At(0), At(0));
  EXPECT_EQ(Decide(kPolicy, view, At(1)).size, 4U);  // 20 x 1 / 5
  view.free_pullers = 20;
  EXPECT_EQ(Decide(kPolicy, view, At(1)).size, 2U);
}

TEST_F(AdaptivePolicy, KeepsItsBounds) {
  constexpr BatchPolicy bounded = {2, milliseconds(3), false, true};
  EXPECT_EQ(Decide(bounded, View(9, At(0), At(0)), At(0)).size, 2U);
  EXPECT_LE(Decide(bounded, View(1, At(0), At(0)), At(0)).look_again, At(3));
  EXPECT_TRUE(Decide(bounded, View(1, At(0), At(0)), At(3)).close);
}

TEST_F(AdaptivePolicy, ClosesForSoftDeadlinesAndWithoutExpectations) {
  QueueView view = View(1, At(0), At(0));
  view.earliest_soft_deadline = At(30);
  view.service_estimate = milliseconds(30);
  EXPECT_EQ(Decide(kPolicy, view, At(0)).reason, CloseReason::kDeadline);
  view = View(1, At(0), At(0));
  view.expects = true;
  EXPECT_EQ(Decide(kPolicy, view, At(0)).reason, CloseReason::kNoOneExpected);
  view.open_expectations = 1;
  EXPECT_FALSE(Decide(kPolicy, view, At(0)).close);
}

TEST(ArrivalGaps, ForgetsWhatIsLongAgo) {
  ArrivalGaps gaps;
  TimePoint now = At(0);
  for (int i = 0; i < 1000; ++i) gaps.Arrive(now += milliseconds(1), true);
  for (int i = 0; i < 1000; ++i) gaps.Arrive(now += seconds(1), true);
  double old_weight = 0;
  double weight = 0;
  for (std::size_t bin = 0; bin < ArrivalGaps::kBins; ++bin) {
    weight += gaps.weight(bin);
    if (ArrivalGaps::End(bin) < milliseconds(10)) old_weight += gaps.weight(bin);
  }
  EXPECT_LT(old_weight, 0.001 * weight);
}

TEST(ArrivalGaps, StaysFinite) {
  ArrivalGaps gaps;
  TimePoint now = At(0);
  for (int i = 0; i < 100'000; ++i) gaps.Arrive(now += Duration(i % 1000), i % 2 == 0);
  for (std::size_t bin = 0; bin < ArrivalGaps::kBins; ++bin) EXPECT_LT(gaps.weight(bin), 1e101);
  EXPECT_NEAR(gaps.fitting(), 0.5, 0.02);
}

}  // namespace
}  // namespace vista::sched
