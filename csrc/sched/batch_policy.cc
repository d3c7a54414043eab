#include "sched/batch_policy.h"

#include <algorithm>

namespace vista::sched {

const char* CloseReasonName(CloseReason reason) {
  switch (reason) {
    case CloseReason::kFull:
      return "full";
    case CloseReason::kDelay:
      return "delay";
    case CloseReason::kDeadline:
      return "deadline";
    case CloseReason::kNoOneExpected:
      return "no_one_expected";
    case CloseReason::kAlone:
      return "alone";
  }
  return "unknown";
}

Decision Decide(const BatchPolicy& policy, const QueueView& view, TimePoint now) {
  const auto close = [](CloseReason reason) { return Decision{true, reason, kNever}; };
  if (view.waiting == 0) return {};
  if (view.waiting >= policy.max_batch) return close(CloseReason::kFull);
  const bool someone_may_come = !view.draining && (policy.linger || view.open_expectations > 0);
  if (!someone_may_come) return close(CloseReason::kNoOneExpected);
  const TimePoint delay_over = After(view.oldest_arrival, policy.max_delay);
  if (now >= delay_over) return close(CloseReason::kDelay);
  const TimePoint must_start = view.earliest_soft_deadline == kNever
                                   ? kNever
                                   : view.earliest_soft_deadline - view.service_estimate;
  if (now >= must_start) return close(CloseReason::kDeadline);
  return {false, CloseReason::kFull, std::min(delay_over, must_start)};
}

}  // namespace vista::sched
