// Fair turns: which flow goes next, over all the queues that the same pullers serve.
//
// Deficit round-robin (M. Shreedhar, G. Varghese: Efficient fair queuing using deficit round-robin,
// 1996) kept in virtual time. What a flow is charged adds up in its account; its round is that sum
// in whole quanta; the flow in the earliest round goes next, and within a round flows take turns
// call by call. A flow in debt for a long call thus skips as many rounds as the call was worth,
// whichever queue served it. A flow that had nothing waiting starts at the present round, or where
// its debt ends if that is later: idle time earns no credit, and one call at a time evades no
// charge (P. Goyal, H. Vin, H. Cheng: Start-time fair queuing, 1996). When nothing waits at a
// priority, there is nobody to be fair to, and its debts are forgotten.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "sched/flight.h"

namespace vista::sched {

using Round = std::int64_t;

class TurnOrder;
struct FlowAccount;

// The Flights of one flow that wait at one priority of one queue, by arrival.
struct FlowQueue {
  FlowAccount* account = nullptr;
  TurnOrder* order = nullptr;
  Round round = 0;
  IntrusiveList<Flight, &Flight::flow_hook> flights;
  ListHook<FlowQueue> turn_hook;
};

// The flows that wait at one priority of one queue, in the order of their turns.
class TurnOrder {
 public:
  // At the end of its round.
  void Add(FlowQueue* flow, Round round);
  void Move(FlowQueue* flow, Round round);
  void Remove(FlowQueue* flow);
  // These need a flow that waits.
  [[nodiscard]] FlowQueue* next() const { return rounds_.begin()->second.front(); }
  [[nodiscard]] Round next_round() const { return rounds_.begin()->first; }

 private:
  std::map<Round, IntrusiveList<FlowQueue, &FlowQueue::turn_hook>> rounds_;  // none is empty
};

// The accounts of all flows that have something waiting, one for each priority that they wait at.
class FlowLedger {
 public:
  // Puts the Flight into its flow's line in this order.
  void Enter(Flight* flight, TurnOrder* order);
  // Takes it out again, uncharged.
  void Leave(Flight* flight);
  // Takes it out because its turn has come, and charges its flow.
  void Serve(Flight* flight, Duration cost);

 private:
  struct Level {
    // Where the account of a flow starts that had nothing waiting.
    double StartOf(Flow flow);
    // Keeps what a flow that has nothing waiting any more is charged beyond the present.
    void KeepDebt(const FlowAccount& account);
    void Advance(double sum);

    double present = 0;  // the largest sum at which a flow was served: where new flows start
    std::unordered_map<Flow, FlowAccount> accounts;

   private:
    void Forget(std::set<std::pair<double, Flow>>::iterator debt);

    std::unordered_map<Flow, double> owed_;
    std::set<std::pair<double, Flow>> debts_;  // the same, the one that ends first in front
  };

  std::map<Priority, Level> levels_;  // none is empty
};

struct FlowAccount {
  Flow flow = 0;
  Priority priority = 0;
  double charged = 0;                              // ns of estimated service time
  std::vector<std::unique_ptr<FlowQueue>> queues;  // where it has Flights; none is empty
};

}  // namespace vista::sched
