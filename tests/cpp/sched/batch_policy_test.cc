#include "sched/batch_policy.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "moments.h"

namespace vista::sched {
namespace {

using std::chrono::milliseconds;

constexpr BatchPolicy kPolicy = {4, milliseconds(10), false};
constexpr BatchPolicy kLingering = {4, milliseconds(10), true};

struct PolicyCase {
  std::string name;
  BatchPolicy policy;
  QueueView view;
  TimePoint now;
  std::optional<CloseReason> closes;
  TimePoint look_again = kNever;
};

QueueView Waiting(std::size_t count, int since_ms, std::size_t expected = 0) {
  QueueView view;
  view.waiting = count;
  view.oldest_arrival = At(since_ms);
  view.open_expectations = expected;
  return view;
}

QueueView WithSoftDeadline(QueueView view, int deadline_ms, int service_ms) {
  view.earliest_soft_deadline = At(deadline_ms);
  view.service_estimate = milliseconds(service_ms);
  return view;
}

QueueView Draining(QueueView view) {
  view.draining = true;
  return view;
}

TEST(Decide, FollowsTheTable) {
  const PolicyCase table[] = {
      {"nothing waits", kPolicy, Waiting(0, 0, 3), At(100), {}, kNever},
      {"nothing waits, lingering", kLingering, Waiting(0, 0), At(100), {}, kNever},
      {"full", kPolicy, Waiting(4, 0, 3), At(0), CloseReason::kFull},
      {"more than full", kPolicy, Waiting(9, 0, 3), At(0), CloseReason::kFull},
      {"no one expected", kPolicy, Waiting(1, 0), At(0), CloseReason::kNoOneExpected},
      {"someone expected", kPolicy, Waiting(1, 0, 1), At(0), {}, At(10)},
      {"expected, just before max_delay", kPolicy, Waiting(3, 5, 1), At(14), {}, At(15)},
      {"expected, at max_delay", kPolicy, Waiting(3, 5, 1), At(15), CloseReason::kDelay},
      {"expected, long after max_delay", kPolicy, Waiting(3, 5, 1), At(1000), CloseReason::kDelay},
      {"lingers though no one is expected", kLingering, Waiting(1, 0), At(3), {}, At(10)},
      {"lingers no longer than max_delay", kLingering, Waiting(1, 0), At(10), CloseReason::kDelay},
      {"soft deadline before max_delay",
       kPolicy,
       WithSoftDeadline(Waiting(1, 0, 1), 8, 3),
       At(4),
       {},
       At(5)},
      {"soft deadline less service has come", kPolicy, WithSoftDeadline(Waiting(1, 0, 1), 8, 3),
       At(5), CloseReason::kDeadline},
      {"soft deadline has passed", kPolicy, WithSoftDeadline(Waiting(1, 0, 1), 2, 3), At(5),
       CloseReason::kDeadline},
      {"soft deadline after max_delay",
       kPolicy,
       WithSoftDeadline(Waiting(1, 0, 1), 80, 3),
       At(5),
       {},
       At(10)},
      {"full counts before the deadline", kPolicy, WithSoftDeadline(Waiting(4, 0, 1), 2, 3), At(5),
       CloseReason::kFull},
      {"draining waits for no one", kPolicy, Draining(Waiting(1, 0, 5)), At(0),
       CloseReason::kNoOneExpected},
      {"draining does not linger", kLingering, Draining(Waiting(1, 0)), At(0),
       CloseReason::kNoOneExpected},
      {"a batch of one is full at once",
       {1, milliseconds(10), true},
       Waiting(1, 0, 1),
       At(0),
       CloseReason::kFull},
      {"no delay allowed",
       {4, milliseconds(0), true},
       Waiting(1, 0, 1),
       At(0),
       CloseReason::kDelay},
  };
  for (const PolicyCase& each : table) {
    const Decision decision = Decide(each.policy, each.view, each.now);
    EXPECT_EQ(decision.close, each.closes.has_value()) << each.name;
    if (each.closes && decision.close) {
      EXPECT_STREQ(CloseReasonName(decision.reason), CloseReasonName(*each.closes)) << each.name;
    }
    if (!each.closes) {
      EXPECT_EQ(decision.look_again, each.look_again) << each.name;
    }
  }
}

TEST(Decide, TakesAnyDeadlineAndAnyEstimate) {
  QueueView view = Waiting(1, 0, 1);
  view.service_estimate = Duration::max();
  EXPECT_FALSE(Decide(kPolicy, view, At(1)).close) << "there is no deadline";
  view.earliest_soft_deadline = At(100);
  EXPECT_TRUE(Decide(kPolicy, view, At(1)).close);
  view.earliest_soft_deadline = TimePoint::min();
  EXPECT_TRUE(Decide(kPolicy, view, At(1)).close);
  view.service_estimate = Duration(0);
  EXPECT_TRUE(Decide(kPolicy, view, At(1)).close);
}

// What Decide promises with look_again: nothing changes by time alone before it, and at it the
// Batch closes.
TEST(Decide, ClosesAtTheTimeItNames) {
  for (int deadline = 0; deadline < 30; ++deadline) {
    for (int now = 0; now < 30; ++now) {
      const QueueView view = WithSoftDeadline(Waiting(2, 1, 1), deadline, 2);
      const Decision decision = Decide(kPolicy, view, At(now));
      if (decision.close) continue;
      EXPECT_GT(decision.look_again, At(now));
      EXPECT_FALSE(Decide(kPolicy, view, decision.look_again - Duration(1)).close);
      EXPECT_TRUE(Decide(kPolicy, view, decision.look_again).close);
    }
  }
}

}  // namespace
}  // namespace vista::sched
