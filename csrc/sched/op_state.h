// OpState: what the scheduler keeps of each Op. Guarded by the scheduler's lock.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "sched/expectations.h"
#include "sched/flight.h"
#include "sched/op_spec.h"
#include "sched/op_stats.h"
#include "sched/wait_queue.h"

namespace vista::sched {

struct Lane;

struct OpState {
  OpId id = 0;
  OpSpec spec;
  Lane* lane = nullptr;
  std::unordered_map<std::string, WaitQueue> queues;  // by compatibility key
  std::deque<Flight*> alone;                          // Flights that run again by themselves
  std::size_t waiting = 0;                            // Flights in queues and in alone
  std::size_t running_batches = 0;
  Duration service_estimate = std::chrono::milliseconds(1);  // of one Batch: moving average
  OpStats stats;

  [[nodiscard]] bool AtConcurrencyLimit() const {
    return spec.concurrency > 0 && running_batches >= static_cast<std::size_t>(spec.concurrency);
  }
};

// The Ops that the same pullers serve: all native Ops share one lane, an Op with its own pullers
// has one to itself.
struct Lane {
  bool leased = false;  // its pullers are outside: a Batch of it can be lost
  std::vector<OpState*> ops;
  std::condition_variable work;
  std::size_t idle = 0;  // pullers that wait on `work`
};

}  // namespace vista::sched
