#include "sched/scheduler.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/tensor.h"
#include "harness.h"

namespace vista::sched {
namespace {

class SchedulerAdmission : public SchedulerTest {};

TEST_F(SchedulerAdmission, WaitsAndLosesNothing) {
  OpSpec spec = Spec("a");
  spec.policy.max_batch = 100;
  spec.concurrency = 0;
  const auto [op, lane] = AddOp(spec);
  for (int i = 0; i < 20; ++i) Submit(op, i);
  EXPECT_EQ(scheduler_.Stats().lobby, 12U);
  std::vector<std::size_t> sizes;
  while (const auto batch = Take(lane)) {
    sizes.push_back(batch->calls->size());
    Complete(*batch);
  }
  EXPECT_EQ(sizes, (std::vector<std::size_t>{8, 8, 4}));
  for (std::uint64_t token = 0; token < 20; ++token)
    EXPECT_EQ(sink_->number(token), 10 * static_cast<int>(token));
}

TEST_F(SchedulerAdmission, NeverHoldsANestedCallBack) {
  OpSpec spec = Spec("a");
  spec.policy.max_batch = 1;
  spec.concurrency = 0;
  const auto [op, lane] = AddOp(spec);
  for (int i = 0; i < 10; ++i) Submit(op, i);
  Call call = MakeCall(op, 100);
  call.nested = true;
  call.priority = 1;
  Submit(std::move(call));
  EXPECT_EQ(Arguments(*Take(lane)), Numbers{100});
  Call joins_lobby = MakeCall(op, 9);
  joins_lobby.nested = true;
  joins_lobby.priority = 1;
  Submit(std::move(joins_lobby));
  EXPECT_EQ(Arguments(*Take(lane)), Numbers{9});
}

TEST_F(SchedulerAdmission, DeadlinesRunInTheLobbyToo) {
  const auto [op, lane] = AddOp(Spec("a"));
  for (int i = 0; i < 8; ++i) Submit(op, i);
  Call call = MakeCall(op, 50);
  call.hard_deadline = clock_.Now() + milliseconds(5);
  const RequestId id = Submit(std::move(call));
  EXPECT_FALSE(scheduler_.AwaitAdmission(id, Duration(0)));
  clock_.Advance(milliseconds(5));
  scheduler_.ExpireDue();
  EXPECT_EQ(sink_->code(8), StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(scheduler_.AwaitAdmission(id, Duration(0)));
  EXPECT_EQ(scheduler_.Stats().lobby, 0U);
}

TEST_F(SchedulerAdmission, TakesACallOverTheLimitInBytesWhenItIsAlone) {
  OpSpec spec = Spec("a");
  spec.concurrency = 0;
  const auto [op, lane] = AddOp(spec);
  Submit(op, 1);
  Call big = MakeCall(op, 2);
  big.arguments = Value{Bytes{std::string(2000000, 'x')}};
  Submit(std::move(big));
  EXPECT_EQ(scheduler_.Stats().lobby, 1U);
  Complete(*Take(lane));
  EXPECT_EQ(scheduler_.Stats().lobby, 0U);
  EXPECT_TRUE(Take(lane));
}

Call Looking(Call call, const ObjectRef& object) {
  call.arguments = Value{object};
  call.objects = {object};
  return call;
}

ObjectRef OfSize(std::size_t bytes) {
  return Tensor::FromVector(DType::kUint8, {static_cast<std::int64_t>(bytes)},
                            std::vector<std::byte>(bytes));
}

TEST_F(SchedulerAdmission, CountsWhatManyCallsLookAtOnce) {
  OpSpec spec = Spec("a");
  spec.concurrency = 0;
  const auto [op, lane] = AddOp(spec);
  const ObjectRef seen_by_many = OfSize(600000);
  for (int i = 0; i < 6; ++i) Submit(Looking(MakeCall(op, i), seen_by_many));
  EXPECT_EQ(scheduler_.Stats().lobby, 0U);
  EXPECT_LT(scheduler_.Stats().flight_bytes, 610000U);

  const RequestId other = Submit(Looking(MakeCall(op, 6), OfSize(600000)));
  EXPECT_EQ(scheduler_.Stats().lobby, 1U) << "another Object of that size finds no room";
  const auto first = Take(lane);
  scheduler_.Complete(first->id, {Number(0), Number(0), Number(0), Number(0)});
  EXPECT_EQ(scheduler_.Stats().lobby, 1U) << "the last two still hold the first Object";
  const auto second = Take(lane);
  scheduler_.Complete(second->id, {Number(0), Number(0)});
  EXPECT_TRUE(scheduler_.AwaitAdmission(other, Duration(0)));
  scheduler_.Complete(Take(lane)->id, {Number(0)});
  EXPECT_EQ(scheduler_.Stats().flight_bytes, 0U);
}

TEST_F(SchedulerAdmission, BoundsTheQueueOfAnOp) {
  OpSpec spec = Spec("bounded");
  spec.max_queue = 2;
  spec.policy.max_batch = 1;
  const auto [bounded, lane] = AddOp(spec);
  const auto [other, other_lane] = AddOp(Spec("other"));
  for (int i = 0; i < 4; ++i) Submit(bounded, i);
  EXPECT_EQ(scheduler_.Stats().lobby, 2U);
  Submit(other, 9);
  EXPECT_EQ(scheduler_.Stats().lobby, 2U) << "another Op's call found room in the engine";
  EXPECT_TRUE(Take(other_lane));
  for (int i = 0; i < 4; ++i) {
    const auto batch = Take(lane);
    ASSERT_TRUE(batch) << i;
    EXPECT_EQ(Arguments(*batch), Numbers{i});
    Complete(*batch);
  }
  EXPECT_EQ(scheduler_.Stats().lobby, 0U);
}

TEST_F(SchedulerAdmission, BoundsTheCallsInFlightOfAnOp) {
  OpSpec spec = Spec("a");
  spec.max_in_flight = 3;
  spec.policy.max_batch = 2;
  spec.concurrency = 0;
  const auto [op, lane] = AddOp(spec);
  for (int i = 0; i < 6; ++i) Submit(op, i);
  const auto first = Take(lane);
  const auto second = Take(lane);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->calls->size(), 2U);
  EXPECT_EQ(second->calls->size(), 1U);
  EXPECT_FALSE(Take(lane));
  Complete(*second);
  EXPECT_EQ(Take(lane)->calls->size(), 1U);
}

TEST_F(SchedulerAdmission, GivesUpAfterTheTimeAllowedForRoom) {
  const auto [op, lane] = AddOp(Spec("a"));
  for (int i = 0; i < 8; ++i) Submit(op, i);
  Call call = MakeCall(op, 50);
  call.room_deadline = clock_.Now() + milliseconds(5);
  call.hard_deadline = clock_.Now() + milliseconds(50);
  Submit(std::move(call));
  EXPECT_EQ(scheduler_.ExpireDue(), clock_.Now() + milliseconds(5));
  clock_.Advance(milliseconds(5));
  EXPECT_EQ(scheduler_.ExpireDue(), kNever);
  EXPECT_EQ(sink_->code(8), StatusCode::kResourceExhausted);
  EXPECT_EQ(scheduler_.Stats().lobby, 0U);
}

TEST_F(SchedulerAdmission, LeavesTheDeadlineToACallThatFoundRoom) {
  const auto [op, lane] = AddOp(Spec("a"));
  for (int i = 0; i < 8; ++i) Submit(op, i);
  Call call = MakeCall(op, 50);
  call.room_deadline = clock_.Now() + milliseconds(5);
  call.hard_deadline = clock_.Now() + milliseconds(50);
  Submit(std::move(call));
  Complete(*Take(lane));
  EXPECT_EQ(scheduler_.Stats().lobby, 0U);
  clock_.Advance(milliseconds(5));
  EXPECT_EQ(scheduler_.ExpireDue(), clock_.Now() + milliseconds(45));
  EXPECT_EQ(sink_->count(8), 0U);
  clock_.Advance(milliseconds(45));
  scheduler_.ExpireDue();
  EXPECT_EQ(sink_->code(8), StatusCode::kDeadlineExceeded);
}

TEST_F(SchedulerAdmission, TakesTurnsBetweenFlowsInTheLobby) {
  OpSpec spec = Spec("a");
  spec.policy.max_batch = 8;
  const auto [op, lane] = AddOp(spec);
  for (int i = 0; i < 8; ++i) Submit(op, i);
  for (int i = 0; i < 12; ++i) {
    Call call = MakeCall(op, 100 + i);
    call.flow = i < 9 ? 1 : 2;
    Submit(std::move(call));
  }
  Complete(*Take(lane));
  EXPECT_EQ(Arguments(*Take(lane)), (Numbers{100, 109, 101, 110, 102, 111, 103, 104}));
}

}  // namespace
}  // namespace vista::sched
