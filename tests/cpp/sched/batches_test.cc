#include "sched/scheduler.h"

#include <gtest/gtest.h>

#include "harness.h"

namespace vista::sched {
namespace {

class SchedulerBatches : public SchedulerTest {};
class SchedulerTime : public SchedulerTest {};

TEST_F(SchedulerBatches, HoldsOneCompatibilityKey) {
  OpSpec spec = Spec("a");
  spec.concurrency = 0;
  const auto [op, lane] = AddOp(spec);
  for (int i = 0; i < 6; ++i) {
    Call call = MakeCall(op, i);
    call.traits.compatibility = i % 2 == 0 ? "even" : "odd";
    Submit(std::move(call));
    clock_.Advance(Duration(1));
  }
  EXPECT_EQ(Arguments(*Take(lane)), (Numbers{0, 2, 4}));
  EXPECT_EQ(Arguments(*Take(lane)), (Numbers{1, 3, 5}));
  EXPECT_FALSE(Take(lane));
}

// A flow with calls of many kinds gets no more than one with calls of one kind, and a flow with
// long calls no more time than one with short calls.
TEST_F(SchedulerBatches, GiveFlowsTurnsOverAllKeysAndOpsOfALane) {
  constexpr Flow kLong = 1;
  constexpr Flow kShort = 2;
  OpSpec slow_spec = Spec("slow");
  OpSpec fast_spec = Spec("fast");
  slow_spec.policy.max_batch = fast_spec.policy.max_batch = 1;
  const OpId slow = AddOp(slow_spec, /*leased=*/false).id;
  const OpId fast = AddOp(fast_spec, /*leased=*/false).id;
  int argument = 0;
  const auto submit = [&](OpId op, Flow flow, const std::string& key) {
    Call call = MakeCall(op, argument++);
    call.flow = flow;
    call.nested = true;  // admission is not at issue here
    call.traits.compatibility = key;
    Submit(std::move(call));
  };
  for (int i = 0; i < 40; ++i) submit(slow, kLong, "key " + std::to_string(i % 5));
  for (int i = 0; i < 200; ++i) submit(fast, kShort, "");
  std::map<OpId, int> milliseconds_of;
  for (int i = 0; i < 100; ++i) {
    const auto batch = Take(kNativeLane);
    const int took = batch->op == slow ? 10 : 2;
    milliseconds_of[batch->op] += took;
    clock_.Advance(milliseconds(took));
    Complete(*batch);
  }
  EXPECT_NEAR(milliseconds_of[slow], milliseconds_of[fast], 20);
}

TEST_F(SchedulerBatches, IsAtMostMaxBatch) {
  OpSpec spec = Spec("a");
  spec.concurrency = 0;
  const auto [op, lane] = AddOp(spec);
  for (int i = 0; i < 6; ++i) Submit(op, i);
  EXPECT_EQ(Arguments(*Take(lane)), (Numbers{0, 1, 2, 3}));
  EXPECT_EQ(Arguments(*Take(lane)), (Numbers{4, 5}));
  const OpStats stats = Stats();
  EXPECT_EQ(stats.close_reasons[static_cast<std::size_t>(CloseReason::kFull)], 1U);
  EXPECT_EQ(stats.close_reasons[static_cast<std::size_t>(CloseReason::kNoOneExpected)], 1U);
  EXPECT_EQ(stats.batch_size.max(), 4U);
}

TEST_F(SchedulerBatches, KeepsToTheOpsConcurrency) {
  OpSpec spec = Spec("a");
  spec.policy.max_batch = 1;
  spec.concurrency = 2;
  const auto [op, lane] = AddOp(spec);
  for (int i = 0; i < 3; ++i) Submit(op, i);
  const auto first = Take(lane);
  EXPECT_TRUE(first);
  EXPECT_TRUE(Take(lane));
  EXPECT_FALSE(Take(lane));
  Complete(*first);
  EXPECT_TRUE(Take(lane));
}

TEST_F(SchedulerBatches, GoesByPriorityAcrossOps) {
  const auto low = AddOp(Spec("low"), false);
  const auto high = AddOp(Spec("high"), false);
  Submit(low.id, 1);
  clock_.Advance(milliseconds(1));
  Call call = MakeCall(high.id, 2);
  call.priority = 1;
  Submit(std::move(call));
  EXPECT_EQ(Take(kNativeLane)->op, high.id);
  EXPECT_EQ(Take(kNativeLane)->op, low.id);
}

TEST_F(SchedulerBatches, AJoinerPassesItsPriorityOn) {
  OpSpec spec = Spec("a");
  spec.policy.max_batch = 1;
  spec.concurrency = 0;
  const auto [op, lane] = AddOp(spec);
  Submit(op, 1);
  Submit(op, 2);
  Call call = MakeCall(op, 2);
  call.priority = 1;
  Submit(std::move(call));
  EXPECT_EQ(Arguments(*Take(lane)), Numbers{2});
}

TEST_F(SchedulerBatches, AnExpectationHoldsABatchUntilItsCallCame) {
  const auto [op, lane] = AddOp(Spec("a"));
  scheduler_.Expect(op, 5);
  Submit(op, 1);
  TimePoint look_again;
  EXPECT_FALSE(scheduler_.TryTake(lane, &look_again));
  EXPECT_EQ(look_again, clock_.Now() + milliseconds(10));
  Call other_flow = MakeCall(op, 2);
  other_flow.flow = 6;
  Submit(std::move(other_flow));
  EXPECT_FALSE(Take(lane));
  Call expected = MakeCall(op, 3);
  expected.flow = 5;
  Submit(std::move(expected));
  EXPECT_EQ(Arguments(*Take(lane)), (Numbers{1, 2, 3}));
}

TEST_F(SchedulerBatches, AReleasedExpectationHoldsNothing) {
  const auto [op, lane] = AddOp(Spec("a"));
  const ExpectationId expectation = scheduler_.Expect(op, 5);
  Submit(op, 1);
  EXPECT_FALSE(Take(lane));
  scheduler_.Release(expectation);
  scheduler_.Release(expectation);
  EXPECT_TRUE(Take(lane));
  EXPECT_EQ(Stats().expected, 0U);
}

TEST_F(SchedulerBatches, AnExpectedCallThatHitsTheCacheReleasesItsExpectation) {
  const auto [op, lane] = AddOp(Spec("a"));
  Submit(op, 1);
  Complete(*Take(lane));
  scheduler_.Expect(op, 0);
  EXPECT_EQ(Submit(op, 1), 0U);
  EXPECT_EQ(Stats().expected, 0U);
}

TEST_F(SchedulerTime, ABatchWaitsAtMostMaxDelay) {
  const auto [op, lane] = AddOp(Spec("a"));
  scheduler_.Expect(op, 5);
  Submit(op, 1);
  clock_.Advance(milliseconds(10) - Duration(1));
  EXPECT_FALSE(Take(lane));
  clock_.Advance(Duration(1));
  EXPECT_TRUE(Take(lane));
}

TEST_F(SchedulerTime, AJoinersSoftDeadlineClosesTheBatchEarlier) {
  const auto [op, lane] = AddOp(Spec("a"));
  scheduler_.Expect(op, 5);
  Submit(op, 1);
  EXPECT_FALSE(Take(lane));
  Call call = MakeCall(op, 1);
  call.soft_deadline = clock_.Now() + milliseconds(4);
  const RequestId hurried = Submit(std::move(call));
  TimePoint look_again;
  EXPECT_FALSE(scheduler_.TryTake(lane, &look_again));
  EXPECT_LT(look_again, clock_.Now() + milliseconds(4));
  scheduler_.Cancel(hurried);
  EXPECT_FALSE(scheduler_.TryTake(lane, &look_again));
  EXPECT_EQ(look_again, clock_.Now() + milliseconds(10));
}

TEST_F(SchedulerTime, AHardDeadlineExpiresItsOwnWaiterOnly) {
  const auto [op, lane] = AddOp(Spec("a"));
  Call call = MakeCall(op, 1);
  call.hard_deadline = clock_.Now() + milliseconds(5);
  Submit(std::move(call));
  Submit(op, 1);
  EXPECT_EQ(scheduler_.ExpireDue(), TimePoint(milliseconds(5)));
  EXPECT_EQ(sink_->count(0), 0U);
  clock_.Advance(milliseconds(5));
  EXPECT_EQ(scheduler_.ExpireDue(), kNever);
  EXPECT_EQ(sink_->code(0), StatusCode::kDeadlineExceeded);
  Complete(*Take(lane));
  EXPECT_EQ(sink_->number(1), 10);
  EXPECT_EQ(Stats().expired, 1U);
}

TEST_F(SchedulerTime, ADeadlineThatHasPassedExpiresAtOnce) {
  const auto [op, lane] = AddOp(Spec("a"));
  Call call = MakeCall(op, 1);
  call.hard_deadline = clock_.Now();
  EXPECT_EQ(Submit(std::move(call)), 0U);
  EXPECT_EQ(sink_->code(0), StatusCode::kDeadlineExceeded);
  EXPECT_FALSE(Take(lane));
}

TEST_F(SchedulerTime, IsToldByWhatItWasSpentOn) {
  const auto [op, lane] = AddOp(Spec("a"));
  scheduler_.Expect(op, 7);
  Submit(op, 1);
  clock_.Advance(milliseconds(3));  // no puller is free
  EXPECT_FALSE(Take(lane));         // one is, and waits for company
  clock_.Advance(milliseconds(5));
  Submit(op, 2);
  clock_.Advance(milliseconds(2));
  const auto batch = Take(lane);
  ASSERT_TRUE(batch);
  clock_.Advance(milliseconds(4));
  Complete(*batch);
  const OpStats stats = Stats();
  const auto ns = [](int ms) { return static_cast<double>(ms) * 1e6; };
  EXPECT_EQ(stats.queue.sum(), ns(3));
  EXPECT_EQ(stats.batch_wait.sum(), ns(7 + 2));
  EXPECT_EQ(stats.run.sum(), ns(4));
  EXPECT_EQ(stats.latency.sum(), ns(14 + 6));
}

TEST_F(SchedulerTime, IsTracedFromEachRequestToItsBatch) {
  const auto [op, lane] = AddOp(Spec("a"));
  scheduler_.StartTrace(100);
  Submit(op, 1);
  Submit(op, 2);
  Submit(op, 1);
  const auto batch = Take(lane);
  Complete(*batch);
  Submit(op, 1);
  const Trace trace = scheduler_.StopTrace();
  ASSERT_EQ(trace.batches.size(), 1U);
  std::vector<BatchId> batches;
  for (const RequestSpan& span : trace.requests) batches.push_back(span.batch);
  EXPECT_EQ(batches, (std::vector<BatchId>{batch->id, batch->id, batch->id, 0}));
}

}  // namespace
}  // namespace vista::sched
