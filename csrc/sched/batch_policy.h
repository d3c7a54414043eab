// The batch policy: when a Batch closes, and how many calls it takes. A pure function of a queue's
// view and the time; it reads no clock and takes no lock.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace vista::sched {

class ArrivalGaps;
class ServiceTimes;

struct BatchPolicy {
  std::size_t max_batch = 32;
  Duration max_delay =
      std::chrono::milliseconds(2);  // how long the oldest member may wait for company
  bool linger = false;               // wait for max_delay even when no Expectation is open
  // Find the size and the delay from what was measured (adaptive_policy.h); max_batch and max_delay
  // are their bounds then, and linger has no say.
  bool adaptive = false;
};

// What an idle puller sees of the calls that could share its next Batch.
struct QueueView {
  std::size_t waiting = 0;
  TimePoint oldest_arrival = kNever;
  TimePoint earliest_soft_deadline = kNever;
  Duration service_estimate{0};       // of one Batch
  std::size_t open_expectations = 0;  // calls of this Op that may come soon
  bool draining = false;              // the engine is closing, nothing more will come

  // For an adaptive policy; the pointers are not null then.
  TimePoint latest_arrival = kNever;
  std::size_t free_pullers = 1;  // that could take a Batch now, the one that looks among them
  bool expects = false;          // Expectations have been opened for this Op at some time
  const ServiceTimes* service_times = nullptr;
  const ArrivalGaps* arrival_gaps = nullptr;
};

enum class CloseReason : std::uint8_t {
  kFull,           // max_batch members wait, or as many as pay
  kDelay,          // the oldest member has waited max_delay, or for as long as it pays
  kDeadline,       // a member's soft deadline less the estimated service time has come
  kNoOneExpected,  // no Expectation is open that could still join
  kAlone,          // the member runs by itself again after its Batch failed as a whole
};
inline constexpr std::size_t kCloseReasons = 5;
const char* CloseReasonName(CloseReason reason);

struct Decision {
  bool close = false;
  CloseReason reason = CloseReason::kFull;  // when it closes
  std::size_t size = 0;                     // when it closes: how many calls it takes
  TimePoint look_again = kNever;  // when it does not: nothing changes by time alone before then
};

Decision Decide(const BatchPolicy& policy, const QueueView& view, TimePoint now);

}  // namespace vista::sched
