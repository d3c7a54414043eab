#include "sched/scheduler.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <span>
#include <thread>

#include "harness.h"

namespace vista::sched {
namespace {

class SchedulerFailures : public SchedulerTest {};
class SchedulerClosing : public SchedulerTest {};

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

TEST_F(SchedulerFailures, ThoseThatRunAgainKeepTheirUrgency) {
  const auto [op, lane] = AddOp(Spec("a"));
  for (int i = 1; i <= 4; ++i) Submit(op, i);
  scheduler_.Fail(Take(lane)->id, Status::Internal("boom"));
  Call raises = MakeCall(op, 3);
  raises.priority = 1;
  Submit(std::move(raises));
  Call hurries = MakeCall(op, 4);
  hurries.soft_deadline = clock_.Now();
  const RequestId hurried = Submit(std::move(hurries));
  const auto next = Take(lane);
  EXPECT_EQ(Arguments(*next), Numbers{3});
  Complete(*next);
  const auto urgent = Take(lane);
  EXPECT_EQ(Arguments(*urgent), Numbers{4});
  Complete(*urgent);
  EXPECT_FALSE(scheduler_.Cancel(hurried));
  Complete(*Take(lane));
  Complete(*Take(lane));
  EXPECT_FALSE(Take(lane));
  EXPECT_EQ(sink_->number(0) + sink_->number(1), 30);
}

TEST_F(SchedulerFailures, ThoseThatRunAgainCanBeWithdrawn) {
  const auto [op, lane] = AddOp(Spec("a"));
  std::vector<RequestId> ids;
  for (int i = 1; i <= 4; ++i) ids.push_back(Submit(op, i));
  scheduler_.Fail(Take(lane)->id, Status::Internal("boom"));
  for (const std::size_t i : {1, 0, 3}) EXPECT_TRUE(scheduler_.Cancel(ids[i]));
  const auto last = Take(lane);
  EXPECT_EQ(Arguments(*last), Numbers{3});
  Complete(*last);
  EXPECT_FALSE(Take(lane));
  EXPECT_EQ(scheduler_.Stats().flights, 0U);
  EXPECT_EQ(Stats().waiting, 0U);
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

TEST_F(SchedulerFailures, ALostLeaseAbortsAllItsRequests) {
  OpSpec spec = Spec("a");
  spec.timeout = milliseconds(100);
  const auto [op, lane] = AddOp(spec);
  Submit(op, 1);
  Submit(op, 2);
  Submit(op, 2);  // joins
  Take(lane);
  clock_.Advance(milliseconds(100));
  scheduler_.ExpireDue();
  for (std::uint64_t token = 0; token < 3; ++token)
    EXPECT_EQ(sink_->code(token), StatusCode::kAborted) << token;
  EXPECT_NE(sink_->only(1).status.message().find("timeout of 0.1"), std::string::npos);
  EXPECT_FALSE(Take(lane)) << "they must not run again";
  EXPECT_EQ(Stats().rerun_alone, 0U);
  EXPECT_EQ(scheduler_.Stats().flights, 0U);
  Submit(op, 2);
  Complete(*Take(lane));
  EXPECT_EQ(sink_->number(3), 20);
}

TEST_F(SchedulerFailures, ALeaseThatItsPullerDropsAbortsAllItsRequests) {
  const auto [op, lane] = AddOp(Spec("a"));
  for (int i = 0; i < 12; ++i) Submit(op, i);  // the last four wait for room
  const auto batch = Take(lane);
  EXPECT_TRUE(scheduler_.Lose(batch->id, Status::Aborted("its puller died")));
  EXPECT_FALSE(scheduler_.Lose(batch->id, Status::Aborted("again")));
  EXPECT_FALSE(Complete(*batch));
  for (std::uint64_t token = 0; token < 4; ++token)
    EXPECT_EQ(sink_->only(token).status.message(), "its puller died");
  EXPECT_EQ(lost_.ops, std::vector<OpId>{op});
  EXPECT_EQ(scheduler_.Stats().lobby, 0U) << "what they held is free";
  while (const auto next = Take(lane)) Complete(*next);
  for (std::uint64_t token = 4; token < 12; ++token)
    EXPECT_EQ(sink_->number(token), 10 * static_cast<int>(token));
}

TEST_F(SchedulerFailures, ALostLeaseSaysNothingOfHowLongCallsTake) {
  OpSpec spec = Spec("a");
  spec.timeout = std::chrono::minutes(10);
  spec.policy.linger = true;
  const auto [op, lane] = AddOp(spec);
  Submit(op, 1);
  clock_.Advance(milliseconds(10));
  Take(lane);
  clock_.Advance(std::chrono::minutes(10));
  scheduler_.ExpireDue();
  Call call = MakeCall(op, 2);
  call.soft_deadline = clock_.Now() + milliseconds(100);
  Submit(std::move(call));
  EXPECT_FALSE(Take(lane)) << "a call of about a millisecond has time to wait for company";
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

// A sink that takes its time, as a thread that loses its core does.
class SlowSink final : public CompletionSink {
 public:
  void Deliver(std::span<Completion>) override {
    entered.set_value();
    leave.get_future().wait();
    left = true;
  }
  std::promise<void> entered, leave;
  std::atomic<bool> left{false};
};

TEST_F(SchedulerClosing, IsIdleOnceWhatWasCompletedIsDelivered) {
  const auto [op, lane] = AddOp(Spec("a"));
  const auto slow = std::make_shared<SlowSink>();
  scheduler_.Expect(op, 5);
  Call call = MakeCall(op, 1);
  RequestId id = 0;
  ASSERT_TRUE(scheduler_.Submit({&call, 1}, slow, {&id, 1}).ok());
  scheduler_.BeginClose();
  const auto batch = Take(lane);
  std::thread puller([&] { Complete(*batch); });
  slow->entered.get_future().wait();
  EXPECT_EQ(scheduler_.Stats().outstanding, 0U);
  EXPECT_FALSE(scheduler_.AwaitIdle(milliseconds(1)));
  std::thread closer([&] {
    scheduler_.Stop("closed");
    EXPECT_TRUE(slow->left);
  });
  slow->leave.set_value();
  EXPECT_TRUE(scheduler_.AwaitIdle(std::chrono::seconds(30)));
  closer.join();
  puller.join();
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
