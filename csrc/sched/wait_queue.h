// WaitQueue: Flights that wait for the same thing, a Batch of one Op with one compatibility key or
// admission, and the order in which they get it.
//
// Priority strictly; within it, earliest soft deadline among the Flights whose slack is below the
// estimated service time; else flows in fair turns.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "base/clock.h"
#include "sched/fair_turns.h"
#include "sched/flight.h"

namespace vista::sched {

class WaitQueue {
 public:
  // Flows take turns over all queues of one ledger, which outlives them.
  explicit WaitQueue(FlowLedger* ledger) : ledger_(ledger) {}

  void Push(Flight* flight);
  // Takes a Flight out; its flow is not charged.
  void Remove(Flight* flight);
  // Takes a Flight out because its turn has come.
  void Serve(Flight* flight, Duration cost);

  // A free puller leaves the Flights here waiting for company, from `now` on if it did not before.
  void Hold(TimePoint now) { held_since_ = std::min(held_since_, now); }
  // Its first time since Release; kNever when there was none.
  [[nodiscard]] TimePoint held_since() const { return held_since_; }
  void Release() { held_since_ = kNever; }

  void SetPriority(Flight* flight, Priority priority);
  void SetSoftDeadline(Flight* flight, TimePoint soft_deadline);

  [[nodiscard]] bool empty() const { return by_arrival_.empty(); }
  [[nodiscard]] std::size_t size() const { return by_arrival_.size(); }
  // Of the sizes of its Flights.
  [[nodiscard]] double total_size() const { return total_size_; }
  // These need a queue that is not empty.
  // The Flight whose turn it is, when service is estimated to take so long.
  [[nodiscard]] Flight* Next(TimePoint now, Duration service_estimate) const;
  // The round of the flow whose turn it is.
  [[nodiscard]] Round next_round() const { return bands_.begin()->second.turns.next_round(); }
  [[nodiscard]] TimePoint oldest_arrival() const { return by_arrival_.front()->arrived; }
  [[nodiscard]] TimePoint latest_arrival() const { return by_arrival_.back()->arrived; }
  [[nodiscard]] Priority top_priority() const { return bands_.begin()->first; }
  // The Flight with the earliest soft deadline, of all and of those with the highest priority; null
  // when none has one.
  [[nodiscard]] const Flight* soonest() const;
  [[nodiscard]] const Flight* top_soonest() const { return Soonest(bands_.begin()->second); }

 private:
  struct Band {
    TurnOrder turns;
    std::set<std::pair<TimePoint, Flight*>> soft_deadlines;
    std::size_t count = 0;
  };
  using Bands = std::map<Priority, Band, std::greater<>>;

  static const Flight* Soonest(const Band& band) {
    return band.soft_deadlines.empty() ? nullptr : band.soft_deadlines.begin()->second;
  }
  void TakeOut(Flight* flight);
  void AddToBand(Flight* flight);
  // What leaves is out of its flow's line already.
  void LeaveBand(Flight* flight);

  FlowLedger* ledger_;
  IntrusiveList<Flight, &Flight::arrival_hook> by_arrival_;
  Bands bands_;  // none is empty
  double total_size_ = 0;
  TimePoint held_since_ = kNever;
};

}  // namespace vista::sched
