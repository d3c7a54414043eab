// A clock that leaps ahead by days, stands still or goes back: deadlines may be missed or met late,
// estimates may be wrong, but every Request completes exactly once and the next one is served.
#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "harness.h"

namespace vista::sched {
namespace {

class ClockJumps : public SchedulerTest, public ::testing::WithParamInterface<bool> {
 protected:
  void Jump() {
    constexpr std::int64_t kSteps[] = {0,
                                       1'000,
                                       1'000'000,
                                       60'000'000'000,
                                       30LL * 86'400'000'000'000,
                                       -5'000'000,
                                       -20LL * 86'400'000'000'000};
    clock_.Advance(Duration(kSteps[random_() % std::size(kSteps)]));
  }

  // A call that may have either deadline and any priority and flow.
  void SubmitAny(OpId op, std::int64_t argument) {
    Call call = MakeCall(op, argument);
    call.flow = random_() % 5;
    call.priority = static_cast<int>(random_() % 2);
    if (random_() % 3 == 0) call.hard_deadline = clock_.Now() + milliseconds(random_() % 50);
    if (random_() % 3 == 0) call.soft_deadline = clock_.Now() + milliseconds(random_() % 50);
    Submit(std::move(call));
  }

  std::mt19937 random_{7};
};

TEST_P(ClockJumps, LoseNothingAndAnswerNothingTwice) {
  OpSpec spec = Spec("a");
  spec.policy.adaptive = GetParam();
  spec.timeout = milliseconds(100);
  const auto [op, lane] = AddOp(spec);
  clock_.Advance(std::chrono::hours(24 * 365 * 50));  // a clock counts from the past
  std::vector<Batch> held;
  for (int step = 0; step < 2000; ++step) {
    Jump();
    if (step % 2 == 0) SubmitAny(op, step);
    scheduler_.ExpireDue();
    if (auto batch = Take(lane)) held.push_back(std::move(*batch));
    if (!held.empty() && random_() % 3 != 0) {
      Complete(held.back());
      held.pop_back();
    }
  }
  for (int round = 0; round < 200; ++round) {
    for (const Batch& batch : held) Complete(batch);
    held.clear();
    clock_.Advance(milliseconds(1000));
    scheduler_.ExpireDue();
    while (auto batch = Take(lane)) held.push_back(std::move(*batch));
  }
  for (std::uint64_t token = 0; token < next_token_; ++token)
    ASSERT_EQ(sink_->count(token), 1U) << "completions of " << token;
  const std::uint64_t token = next_token_;
  Submit(op, 1'000'000);
  clock_.Advance(milliseconds(20));
  const auto batch = Take(lane);
  ASSERT_TRUE(batch);
  Complete(*batch);
  EXPECT_EQ(sink_->number(token), 10'000'000);
}

TEST_P(ClockJumps, ATimeThatEndsBeforeItBeganIsNone) {
  OpSpec spec = Spec("a");
  spec.policy.adaptive = GetParam();
  const auto [op, lane] = AddOp(spec);
  clock_.Advance(std::chrono::hours(1));
  Submit(op, 1);
  clock_.Advance(milliseconds(20));
  const auto batch = Take(lane);
  ASSERT_TRUE(batch);
  clock_.Advance(-milliseconds(50));
  Complete(*batch);
  const OpStats stats = Stats();
  EXPECT_EQ(stats.run.max(), 0U);
  EXPECT_EQ(stats.latency.max(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Policies, ClockJumps, ::testing::Bool());

}  // namespace
}  // namespace vista::sched
