#include "sched/scheduler.h"

#include <gtest/gtest.h>

#include "harness.h"

namespace vista::sched {
namespace {

class SchedulerRequests : public SchedulerTest {};

TEST_F(SchedulerRequests, RunsEqualCallsOnce) {
  const auto [op, lane] = AddOp(Spec("a"));
  for (int i = 0; i < 8; ++i) Submit(op, 7);
  const auto batch = Take(lane);
  ASSERT_TRUE(batch);
  EXPECT_EQ(Arguments(*batch), Numbers{7});
  EXPECT_FALSE(Take(lane));
  Submit(op, 7);  // joins while it runs
  EXPECT_TRUE(Complete(*batch));
  for (std::uint64_t token = 0; token < 9; ++token) {
    EXPECT_EQ(sink_->number(token), 70);
    EXPECT_EQ(sink_->only(token).outcome, token == 0 ? Outcome::kRun : Outcome::kJoined);
  }
  EXPECT_EQ(Stats().joined, 8U);
}

TEST_F(SchedulerRequests, ServesASuccessFromTheCache) {
  const auto [op, lane] = AddOp(Spec("a"));
  Submit(op, 7);
  Complete(*Take(lane));
  EXPECT_EQ(Submit(op, 7), 0U);
  EXPECT_EQ(sink_->number(1), 70);
  EXPECT_EQ(sink_->only(1).outcome, Outcome::kCached);
  EXPECT_FALSE(Take(lane));
}

TEST_F(SchedulerRequests, NeverCachesAFailure) {
  const auto [op, lane] = AddOp(Spec("a"));
  Submit(op, 7);
  const auto batch = Take(lane);
  scheduler_.Complete(batch->id, {Status::InvalidArgument("seven")});
  EXPECT_EQ(sink_->code(0), StatusCode::kInvalidArgument);
  EXPECT_NE(Submit(op, 7), 0U);
  EXPECT_TRUE(Take(lane));
}

TEST_F(SchedulerRequests, NeitherJoinsNorCachesWithoutIdentity) {
  const auto [op, lane] = AddOp(Spec("a"));
  OpSpec spec = Spec("b");
  spec.cacheable = false;
  const auto [plain, plain_lane] = AddOp(spec);
  for (int i = 0; i < 2; ++i) {
    Call call = MakeCall(op, 7);
    call.identity = {};
    Submit(std::move(call));
    Submit(plain, 7);
  }
  EXPECT_EQ(Arguments(*Take(lane)), (Numbers{7, 7}));
  EXPECT_EQ(Arguments(*Take(plain_lane)), (Numbers{7, 7}));
}

TEST_F(SchedulerRequests, CancelDetachesItsOwnWaiterOnly) {
  const auto [op, lane] = AddOp(Spec("a"));
  const RequestId first = Submit(op, 7);
  Submit(op, 7);
  EXPECT_TRUE(scheduler_.Cancel(first));
  EXPECT_FALSE(scheduler_.Cancel(first));
  EXPECT_EQ(sink_->code(0), StatusCode::kCancelled);
  Complete(*Take(lane));
  EXPECT_EQ(sink_->number(1), 70);
}

TEST_F(SchedulerRequests, DropsAFlightWithItsLastWaiter) {
  const auto [op, lane] = AddOp(Spec("a"));
  scheduler_.Cancel(Submit(op, 7));
  EXPECT_FALSE(Take(lane));
  EXPECT_EQ(scheduler_.Stats().flights, 0U);
}

TEST_F(SchedulerRequests, CachesWhatRanThoughEveryWaiterLeft) {
  const auto [op, lane] = AddOp(Spec("a"));
  const RequestId id = Submit(op, 7);
  const auto batch = Take(lane);
  scheduler_.Cancel(id);
  EXPECT_TRUE(Complete(*batch));
  EXPECT_EQ(Submit(op, 7), 0U);
  EXPECT_EQ(sink_->number(1), 70);
}

TEST_F(SchedulerRequests, RefusesTwoOpsOfOneName) {
  AddOp(Spec("a"));
  EXPECT_EQ(scheduler_.AddOp(Spec("a"), true).status().code(), StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace vista::sched
