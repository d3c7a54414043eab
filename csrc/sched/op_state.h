// OpState: what the scheduler keeps of each Op. Guarded by the scheduler's lock.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/spin.h"
#include "sched/arrival_gaps.h"
#include "sched/expectations.h"
#include "sched/fair_turns.h"
#include "sched/flight.h"
#include "sched/op_spec.h"
#include "sched/op_stats.h"
#include "sched/service_times.h"
#include "sched/wait_queue.h"

namespace vista::sched {

struct Lane;

struct OpState {
  OpId id = 0;
  OpSpec spec;
  Lane* lane = nullptr;
  std::unordered_map<std::string, WaitQueue> queues;  // by compatibility key; none is empty
  FlowLedger alone_turns;
  WaitQueue alone{&alone_turns};  // Flights that run again by themselves
  std::size_t waiting = 0;        // Flights in queues and in alone
  FlowLedger lobby_turns;
  WaitQueue lobby{&lobby_turns};  // Flights that wait for admission
  std::size_t running_batches = 0;
  std::size_t running_calls = 0;
  ServiceTimes service_times;
  ArrivalGaps arrival_gaps;              // kept for an adaptive policy alone
  std::size_t latest_compatibility = 0;  // its hash
  OpStats stats;

  // How many more Batches, and how many more calls in them, may run now.
  [[nodiscard]] std::size_t FreeBatches() const {
    return Left(static_cast<std::size_t>(spec.concurrency), running_batches);
  }
  [[nodiscard]] std::size_t FreeCalls() const { return Left(spec.max_in_flight, running_calls); }
  [[nodiscard]] bool AtLimit() const { return FreeBatches() == 0 || FreeCalls() == 0; }
  [[nodiscard]] bool QueueIsFull() const { return Left(spec.max_queue, waiting) == 0; }

  // How long a Batch of so many calls of the queue will take, `hurried` among them. Of the others
  // it is not known which they will be.
  [[nodiscard]] Duration ServiceEstimate(const WaitQueue& queue, std::size_t calls,
                                         const Flight& hurried) const {
    const auto waits = static_cast<double>(queue.size());
    const auto members = static_cast<double>(calls);
    const double others = std::max(queue.total_size() - hurried.size, 0.0);
    const double size = hurried.size + others * (members - 1) / std::max(waits - 1, 1.0);
    return std::max(service_times.OfBatch(size), service_times.OfCall(hurried.size));
  }
  // The Flight whose turn it is in the queue, for a Batch of so many of its calls.
  [[nodiscard]] Flight* NextOf(const WaitQueue& queue, std::size_t calls, TimePoint now) const {
    const Flight* hurried = queue.top_soonest();
    const Duration service =
        hurried == nullptr ? Duration(0) : ServiceEstimate(queue, calls, *hurried);
    return queue.Next(now, service);
  }

  void NoteArrival(const std::string& compatibility, TimePoint now) {
    const std::size_t hash = std::hash<std::string>()(compatibility);
    arrival_gaps.Arrive(now, hash == latest_compatibility);
    latest_compatibility = hash;
  }

 private:
  // A limit of 0 is none.
  static std::size_t Left(std::size_t limit, std::size_t used) {
    if (limit == 0) return std::numeric_limits<std::size_t>::max();
    return limit - std::min(limit, used);
  }
};

// The Ops that the same pullers serve: all native Ops share one lane, an Op with its own pullers
// has one to itself.
struct Lane {
  bool leased = false;  // its pullers are outside: a Batch of it can be lost
  std::vector<OpState*> ops;
  FlowLedger turns;
  std::condition_variable work;
  std::size_t idle = 0;       // pullers that wait for work
  std::size_t stand_ins = 0;  // callers that run a Batch while as many of the idle stay idle

  // One of the idle may watch `signals` for a moment before it waits on `work`: it sees a call that
  // comes at once, as those of a caller do that makes one after another.
  bool spins = false;
  std::atomic<std::uint32_t> signals{0};
  Duration latest_idle_time = kLongestSpin * 10;  // of a puller that found nothing to do

  [[nodiscard]] bool SpinPays() const {
    return leased && !spins && latest_idle_time < 2 * kLongestSpin;
  }
  [[nodiscard]] bool NothingWaits() const {
    return std::all_of(ops.begin(), ops.end(), [](const OpState* op) { return op->waiting == 0; });
  }
};

}  // namespace vista::sched
