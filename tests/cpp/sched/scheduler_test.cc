#include "sched/scheduler.h"

#include <gtest/gtest.h>

#include "harness.h"

namespace vista::sched {
namespace {

using Numbers = std::vector<std::int64_t>;

class SchedulerRequests : public SchedulerTest {};
class SchedulerBatches : public SchedulerTest {};
class SchedulerTime : public SchedulerTest {};
class SchedulerFailures : public SchedulerTest {};
class SchedulerAdmission : public SchedulerTest {};
class SchedulerClosing : public SchedulerTest {};

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
  const RequestId urgent = Submit(std::move(call));
  EXPECT_EQ(Arguments(*Take(lane)), Numbers{2});
  static_cast<void>(urgent);
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

TEST_F(SchedulerFailures, ABatchThatFailsAsAWholeRunsAgainOneByOne) {
  const auto [op, lane] = AddOp(Spec("a"));
  for (int i = 1; i <= 3; ++i) Submit(op, i);
  EXPECT_TRUE(scheduler_.Fail(Take(lane)->id, Status::Internal("boom")));
  for (std::int64_t i = 1; i <= 3; ++i) {
    const auto batch = Take(lane);
    ASSERT_TRUE(batch);
    EXPECT_EQ(Arguments(*batch), Numbers{i});
    if (i == 2) {
      scheduler_.Fail(batch->id, Status::Internal("poisoned"));
    } else {
      Complete(*batch);
    }
  }
  EXPECT_EQ(sink_->number(0), 10);
  EXPECT_EQ(sink_->only(1).status.message(), "poisoned");
  EXPECT_EQ(sink_->number(2), 30);
  EXPECT_EQ(Stats().rerun_alone, 3U);
}

TEST_F(SchedulerFailures, TheWrongNumberOfResultsIsAFailureOfTheWhole) {
  const auto [op, lane] = AddOp(Spec("a"));
  Submit(op, 1);
  Submit(op, 2);
  scheduler_.Complete(Take(lane)->id, {Number(10)});
  EXPECT_EQ(sink_->count(0) + sink_->count(1), 0U);
  Complete(*Take(lane));
  scheduler_.Complete(Take(lane)->id, {});
  EXPECT_EQ(sink_->number(0), 10);
  EXPECT_EQ(sink_->code(1), StatusCode::kInternal);
  EXPECT_NE(sink_->only(1).status.message().find("0 results for 1 calls"), std::string::npos);
}

TEST_F(SchedulerFailures, ALeasePastItsTimeoutIsLostAndItsResultsAreIgnored) {
  OpSpec spec = Spec("a");
  spec.timeout = milliseconds(100);
  const auto [op, lane] = AddOp(spec);
  Submit(op, 1);
  const auto batch = Take(lane);
  clock_.Advance(milliseconds(100));
  scheduler_.ExpireDue();
  EXPECT_EQ(sink_->code(0), StatusCode::kAborted);
  EXPECT_EQ(lost_.ops, std::vector<OpId>{op});
  EXPECT_FALSE(Complete(*batch));
  EXPECT_EQ(sink_->code(0), StatusCode::kAborted);
  Submit(op, 1);
  EXPECT_TRUE(Take(lane)) << "the lost Lease must not hold the Op's only slot";
}

TEST_F(SchedulerFailures, TheOthersOfALostLeaseGoOn) {
  OpSpec spec = Spec("a");
  spec.timeout = milliseconds(100);
  const auto [op, lane] = AddOp(spec);
  Submit(op, 1);
  Submit(op, 2);
  Take(lane);
  clock_.Advance(milliseconds(100));
  scheduler_.ExpireDue();
  EXPECT_EQ(sink_->count(0) + sink_->count(1), 0U);
  const auto hangs = Take(lane);
  EXPECT_EQ(Arguments(*hangs), Numbers{1});
  clock_.Advance(milliseconds(100));
  scheduler_.ExpireDue();
  EXPECT_EQ(sink_->code(0), StatusCode::kAborted);
  Complete(*Take(lane));
  EXPECT_EQ(sink_->number(1), 20);
}

TEST_F(SchedulerFailures, ALeaseThatOutlivesItsExpiredRequestsIsLost) {
  const auto [op, lane] = AddOp(Spec("a"));
  for (int i = 1; i <= 2; ++i) {
    Call call = MakeCall(op, i);
    call.hard_deadline = clock_.Now() + milliseconds(5 * i);
    Submit(std::move(call));
  }
  Take(lane);
  clock_.Advance(milliseconds(5));
  scheduler_.ExpireDue();
  EXPECT_TRUE(lost_.ops.empty());
  clock_.Advance(milliseconds(5));
  scheduler_.ExpireDue();
  EXPECT_EQ(lost_.ops, std::vector<OpId>{op});
  EXPECT_EQ(Stats().lost_pullers, 1U);
  Submit(op, 3);
  EXPECT_TRUE(Take(lane));
}

TEST_F(SchedulerFailures, ANativeBatchIsNeverLost) {
  const auto [op, lane] = AddOp(Spec("a"), false);
  Call call = MakeCall(op, 1);
  call.hard_deadline = clock_.Now() + milliseconds(5);
  Submit(std::move(call));
  const auto batch = Take(lane);
  clock_.Advance(milliseconds(5));
  scheduler_.ExpireDue();
  EXPECT_EQ(sink_->code(0), StatusCode::kDeadlineExceeded);
  EXPECT_TRUE(lost_.ops.empty());
  EXPECT_TRUE(Complete(*batch));
}

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

TEST_F(SchedulerClosing, CompletesWhatWasAcceptedAndRefusesTheRest) {
  const auto [op, lane] = AddOp(Spec("a"));
  scheduler_.Expect(op, 5);
  Submit(op, 1);
  EXPECT_FALSE(Take(lane));
  scheduler_.BeginClose();
  Call late = MakeCall(op, 2);
  RequestId id = 0;
  EXPECT_EQ(scheduler_.Submit({&late, 1}, sink_, {&id, 1}).code(), StatusCode::kFailedPrecondition);
  EXPECT_FALSE(scheduler_.AwaitIdle(Duration(0)));
  Complete(*Take(lane));
  EXPECT_TRUE(scheduler_.AwaitIdle(Duration(0)));
  EXPECT_EQ(sink_->number(0), 10);
}

TEST_F(SchedulerClosing, AbortsWhatIsLeftWhereverItIs) {
  OpSpec spec = Spec("a");
  spec.policy.max_batch = 2;
  const auto [op, lane] = AddOp(spec);
  std::vector<RequestId> ids;
  for (int i = 0; i < 12; ++i) ids.push_back(Submit(op, i));
  const auto running = Take(lane);
  scheduler_.Cancel(ids[0]);
  scheduler_.Stop("closed");
  EXPECT_EQ(sink_->code(0), StatusCode::kCancelled);
  for (std::uint64_t token = 1; token < 12; ++token)
    EXPECT_EQ(sink_->code(token), StatusCode::kAborted);
  EXPECT_FALSE(Complete(*running));
  EXPECT_FALSE(Take(lane));
  EXPECT_EQ(scheduler_.Stats().flights, 0U);
}

}  // namespace
}  // namespace vista::sched
