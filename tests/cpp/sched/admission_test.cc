#include "sched/scheduler.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace vista::sched
