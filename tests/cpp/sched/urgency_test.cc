// A Flight is as urgent as the most urgent of its waiters, however many join it and leave it.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "harness.h"
#include "sched/scheduler.h"

namespace vista::sched {
namespace {

class SchedulerUrgency : public SchedulerTest {
 protected:
  // An Op whose calls wait for company for a long time, so that only a soft deadline closes a
  // Batch.
  OpSpec Patient() {
    OpSpec spec = Spec("patient");
    spec.policy = {4, std::chrono::hours(1), true};
    spec.concurrency = 0;
    return spec;
  }
  RequestId SubmitUrgent(OpId op, std::int64_t argument, Priority priority, TimePoint deadline) {
    Call call = MakeCall(op, argument);
    call.priority = priority;
    call.soft_deadline = deadline;
    return Submit(std::move(call));
  }
};

TEST_F(SchedulerUrgency, IsThatOfItsWaitersWhoeverComesAndGoes) {
  const auto [op, lane] = AddOp(Patient());
  const TimePoint end = clock_.Now() + milliseconds(10000);
  std::mt19937 random(3);
  std::map<RequestId, TimePoint> waiters;
  for (int step = 0; step < 3000; ++step) {
    if (waiters.empty() || random() % 5 < ((step / 300) % 2 == 0 ? 4 : 1)) {
      const TimePoint deadline = random() % 4 == 0 ? kNever : end + milliseconds(random() % 50);
      waiters[SubmitUrgent(op, 1, static_cast<Priority>(random() % 5), deadline)] = deadline;
    } else {
      const auto leaving = std::next(waiters.begin(), random() % waiters.size());
      scheduler_.Cancel(leaving->first);
      waiters.erase(leaving);
    }
    TimePoint earliest = kNever;
    for (const auto& [id, deadline] : waiters) earliest = std::min(earliest, deadline);
    TimePoint look_again;
    ASSERT_FALSE(scheduler_.TryTake(lane, &look_again));
    const TimePoint delay_over = TimePoint(std::chrono::hours(1));
    if (earliest == kNever) {
      ASSERT_EQ(look_again, waiters.empty() ? kNever : delay_over);
    } else {
      ASSERT_EQ(look_again, earliest - milliseconds(1)) << "after step " << step;
    }
  }
}

TEST_F(SchedulerUrgency, ForgetsAPriorityThatLeftWhileItRan) {
  OpSpec spec = Spec("a");
  spec.policy.max_batch = 2;
  const auto [op, lane] = AddOp(spec);
  Submit(op, 1);
  Submit(op, 2);
  const auto batch = Take(lane);
  const RequestId hurried = SubmitUrgent(op, 1, 5, kNever);  // joins while it runs
  scheduler_.Cancel(hurried);
  scheduler_.Fail(batch->id, Status::Internal("as a whole"));
  Call other = MakeCall(op, 3);
  other.priority = 1;
  Submit(std::move(other));
  EXPECT_EQ(Arguments(*Take(lane)), Numbers{3});
}

TEST_F(SchedulerUrgency, TwentyThousandEqualCallsJoinAndLeave) {
  const auto [op, lane] = AddOp(Patient());
  constexpr int kCalls = 20000;
  std::vector<RequestId> ids;
  for (int i = 0; i < kCalls; ++i)
    ids.push_back(SubmitUrgent(op, 1, -i, clock_.Now() + milliseconds(1000 + i)));
  for (int i = 0; i < kCalls; ++i) {
    TimePoint look_again;
    ASSERT_FALSE(scheduler_.TryTake(lane, &look_again));
    ASSERT_EQ(look_again, clock_.Now() + milliseconds(1000 + i - 1))
        << "less a millisecond of service";
    scheduler_.Cancel(ids[static_cast<std::size_t>(i)]);
  }
  EXPECT_EQ(scheduler_.Stats().flights, 0U);
}

}  // namespace
}  // namespace vista::sched
