// WaitQueue: the Flights of one Op with one compatibility key that wait for a Batch, and the order
// in which they go.
//
// Priority strictly; within it, earliest soft deadline among the Flights whose slack is below the
// estimated service time; else deficit round-robin over flows, charged in estimated time (M.
// Shreedhar, G. Varghese: Efficient fair queuing using deficit round-robin, 1996). Flights of one
// Op differ in estimated time as their sizes do, so sizes are what is charged.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "sched/flight.h"

namespace vista::sched {

class WaitQueue {
 public:
  void Push(Flight* flight);
  void Remove(Flight* flight);
  // Takes the count Flights whose turn it is, in order of service.
  std::vector<Flight*> Pop(std::size_t count, TimePoint now, Duration service_estimate);

  void SetPriority(Flight* flight, Priority priority);
  void SetSoftDeadline(Flight* flight, TimePoint soft_deadline);

  [[nodiscard]] bool empty() const { return by_arrival_.empty(); }
  [[nodiscard]] std::size_t size() const { return by_arrival_.size(); }
  // These need a queue that is not empty.
  [[nodiscard]] TimePoint oldest_arrival() const { return by_arrival_.front()->arrived; }
  [[nodiscard]] Priority top_priority() const { return bands_.begin()->first; }
  [[nodiscard]] TimePoint earliest_soft_deadline() const;  // of all bands; kNever when none has one
  [[nodiscard]] TimePoint top_soft_deadline() const;       // of the band with the highest priority

 private:
  struct FlowQueue {
    IntrusiveList<Flight, &Flight::flow_hook> flights;
    double deficit = 0;
    bool in_turn = false;  // it has been granted this turn's quantum
    ListHook<FlowQueue> turn_hook;
  };
  struct Band {
    std::unordered_map<Flow, FlowQueue> flows;
    IntrusiveList<FlowQueue, &FlowQueue::turn_hook> turns;  // flows that have Flights, next first
    std::set<std::pair<TimePoint, Flight*>> soft_deadlines;
    double size = 0;
    std::size_t count = 0;
  };
  using Bands = std::map<Priority, Band, std::greater<>>;

  void AddToBand(Flight* flight);
  void RemoveFromBand(Flight* flight);
  void PopUrgent(Band* band, std::size_t count, TimePoint now, Duration estimate,
                 std::vector<Flight*>* out);
  void PopFairly(Band* band, std::size_t count, std::vector<Flight*>* out);

  IntrusiveList<Flight, &Flight::arrival_hook> by_arrival_;
  Bands bands_;  // none is empty
};

}  // namespace vista::sched
