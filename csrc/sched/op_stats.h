// OpStats: what is counted of an Op. Guarded by the scheduler's lock; a snapshot is a copy.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "sched/batch_policy.h"
#include "sched/completion.h"

namespace vista::sched {

// The ns from one time to another, for a Histogram. Where a clock went back it is none.
inline std::uint64_t Elapsed(TimePoint from, TimePoint to) {
  return static_cast<std::uint64_t>(std::max(to - from, Duration(0)).count());
}

struct OpStats {
  std::uint64_t submitted = 0;
  // By how a Request ended; these sum to submitted once nothing is outstanding.
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  std::uint64_t expired = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t aborted = 0;

  std::uint64_t joined = 0;   // Requests that joined a Flight
  std::uint64_t cached = 0;   // Requests that found their result
  std::uint64_t evicted = 0;  // results that left the cache for newer ones
  std::uint64_t batches = 0;
  std::uint64_t rerun_alone =
      0;  // Flights that ran again by themselves after their Batch failed as a whole
  std::uint64_t lost_pullers =
      0;  // Leases that passed their timeout or outlived all their Requests
  std::array<std::uint64_t, kCloseReasons> close_reasons{};

  Histogram batch_size;
  // In ns. A Flight's time from its arrival to its Batch is the sum of the first two.
  Histogram queue;       // until a puller was free, admission included
  Histogram batch_wait;  // while a puller was free and the Batch was held open for company
  Histogram run;         // that a Batch ran
  Histogram latency;     // from a Request's arrival to its Completion

  // At the time of the snapshot.
  std::uint64_t waiting = 0;
  std::uint64_t running = 0;
  std::uint64_t expected = 0;
  std::uint64_t cached_bytes = 0;
};

struct SchedulerStats {
  std::vector<std::pair<std::string, OpStats>> ops;
  std::size_t outstanding = 0;  // accepted Requests that have no Completion yet
  std::size_t flights = 0;      // admitted
  std::size_t flight_bytes = 0;
  std::size_t lobby = 0;  // Flights that wait for admission
  std::size_t cache_entries = 0;
  std::size_t cache_bytes = 0;
  std::size_t cache_budget = 0;
};

}  // namespace vista::sched
