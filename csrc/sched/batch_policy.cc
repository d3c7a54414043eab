#include "sched/batch_policy.h"

#include <algorithm>

#include "sched/adaptive_policy.h"

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
  if (view.waiting == 0) return {};
  const std::size_t most =
      policy.adaptive ? std::min(policy.max_batch, BestSize(view)) : policy.max_batch;
  const auto close = [&](CloseReason reason) {
    return Decision{true, reason, std::min(view.waiting, most), kNever};
  };
  if (view.waiting >= most) return close(CloseReason::kFull);
  const bool counts_on_expectations = policy.adaptive ? view.expects : !policy.linger;
  if (view.draining || (counts_on_expectations && view.open_expectations == 0)) {
    return close(CloseReason::kNoOneExpected);
  }
  TimePoint delay_over = After(view.oldest_arrival, policy.max_delay);
  if (policy.adaptive) delay_over = std::min(delay_over, PaysUntil(view, now));
  if (now >= delay_over) return close(CloseReason::kDelay);
  const TimePoint deadline = view.earliest_soft_deadline;
  if (deadline == kNever) return {false, CloseReason::kFull, 0, delay_over};
  if (deadline <= After(now, view.service_estimate)) return close(CloseReason::kDeadline);
  return {false, CloseReason::kFull, 0, std::min(delay_over, deadline - view.service_estimate)};
}

}  // namespace vista::sched
