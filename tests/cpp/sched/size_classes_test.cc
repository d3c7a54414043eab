// An Op with small calls and large ones: each is urgent in time for what it takes itself.
#include <gtest/gtest.h>

#include "harness.h"
#include "sched/scheduler.h"

namespace vista::sched {
namespace {

constexpr double kLarge = 1000;  // beside small calls of size 1

// In virtual time a small call takes 1 ms and a large one 100 ms.
class SizeClasses : public SchedulerTest {
 protected:
  // An Op that has run as many large calls as small ones, each by itself.
  Scheduler::AddedOp AddKnownOp(std::size_t max_batch) {
    OpSpec spec = Spec("sized");
    spec.policy = {max_batch, std::chrono::hours(1), true};
    const Scheduler::AddedOp added = AddOp(spec);
    for (int i = 0; i < 20; ++i) {
      for (const double size : {1.0, kLarge}) {
        SubmitSized(added.id, size, clock_.Now());
        const auto batch = Take(added.lane);
        clock_.Advance(milliseconds(size == kLarge ? 100 : 1));
        Complete(*batch);
      }
    }
    return added;
  }
  std::int64_t SubmitSized(OpId op, double size, TimePoint soft_deadline = kNever, Flow flow = 0) {
    Call call = MakeCall(op, next_argument_);
    call.traits.size = size;
    call.soft_deadline = soft_deadline;
    call.flow = flow;
    Submit(std::move(call));
    return next_argument_++;
  }
  // In how many milliseconds time alone closes a Batch.
  double MillisecondsLeft(LaneId lane) {
    TimePoint look_again;
    EXPECT_FALSE(scheduler_.TryTake(lane, &look_again));
    return std::chrono::duration<double, std::milli>(look_again - clock_.Now()).count();
  }

  std::int64_t next_argument_ = 0;
};

TEST_F(SizeClasses, ALargeCallClosesItsBatchEarlyEnough) {
  const auto [op, lane] = AddKnownOp(4);
  SubmitSized(op, kLarge, clock_.Now() + milliseconds(500));
  const double left = MillisecondsLeft(lane);
  EXPECT_LE(left, 400);
  EXPECT_GE(left, 390);
}

TEST_F(SizeClasses, ASmallCallWaitsForCompanyAsLongAsItCan) {
  const auto [op, lane] = AddKnownOp(4);
  SubmitSized(op, 1, clock_.Now() + milliseconds(500));
  const double left = MillisecondsLeft(lane);
  EXPECT_LE(left, 499);
  EXPECT_GE(left, 495);
}

TEST_F(SizeClasses, ASmallCallInABatchWithALargeOneIsDoneNoSoonerThanThat) {
  const auto [op, lane] = AddKnownOp(4);
  SubmitSized(op, 1, clock_.Now() + milliseconds(500));
  SubmitSized(op, kLarge);
  const double left = MillisecondsLeft(lane);
  EXPECT_LE(left, 401);
  EXPECT_GE(left, 390);
}

TEST_F(SizeClasses, OnlyACallThatWouldBeLateGoesAheadOfItsTurn) {
  const auto [op, lane] = AddKnownOp(1);
  const std::int64_t waits_longest = SubmitSized(op, 1, kNever, 1);
  SubmitSized(op, 1, clock_.Now() + milliseconds(40), 2);
  EXPECT_EQ(Arguments(*Take(lane)), Numbers{waits_longest});
}

TEST_F(SizeClasses, ALargeCallThatWouldBeLateGoesAheadOfItsTurn) {
  const auto [op, lane] = AddKnownOp(1);
  SubmitSized(op, 1, kNever, 1);
  const std::int64_t large = SubmitSized(op, kLarge, clock_.Now() + milliseconds(80), 2);
  EXPECT_EQ(Arguments(*Take(lane)), Numbers{large});
}

TEST_F(SizeClasses, KnowsALargeCallThatHasNotComeForLong) {
  const auto [op, lane] = AddKnownOp(4);
  for (int i = 0; i < 2000; ++i) {
    SubmitSized(op, 1, clock_.Now());
    const auto batch = Take(lane);
    clock_.Advance(milliseconds(1));
    Complete(*batch);
  }
  SubmitSized(op, kLarge, clock_.Now() + milliseconds(1000));
  EXPECT_LE(MillisecondsLeft(lane), 900);
}

TEST_F(SizeClasses, TakesCallsOfAnySizeTogether) {
  const auto [op, lane] = AddKnownOp(4);
  for (const double size : {1e308, 1e308, 1e-308}) {
    SubmitSized(op, size, clock_.Now() + std::chrono::hours(1));
  }
  TimePoint look_again;
  const auto batch = scheduler_.TryTake(lane, &look_again);
  ASSERT_TRUE(batch) << "nobody can say that there is time";
  EXPECT_EQ(batch->calls->size(), 3U);
  Complete(*batch);
  SubmitSized(op, 1, clock_.Now());
  EXPECT_TRUE(Take(lane));
}

}  // namespace
}  // namespace vista::sched
