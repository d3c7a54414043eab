#include "sched/wait_queue.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace vista::sched {

void WaitQueue::Push(Flight* flight) {
  flight->queue = this;
  by_arrival_.PushBack(flight);
  AddToBand(flight);
}

void WaitQueue::Remove(Flight* flight) {
  RemoveFromBand(flight);
  by_arrival_.Erase(flight);
  flight->queue = nullptr;
}

void WaitQueue::AddToBand(Flight* flight) {
  Band& band = bands_[flight->priority];
  FlowQueue& flow = band.flows[flight->flow];
  if (flow.flights.empty()) band.turns.PushBack(&flow);
  flow.flights.PushBack(flight);
  if (flight->soft_deadline != kNever) band.soft_deadlines.emplace(flight->soft_deadline, flight);
  band.size += flight->size;
  ++band.count;
}

void WaitQueue::RemoveFromBand(Flight* flight) {
  const auto at = bands_.find(flight->priority);
  Band& band = at->second;
  const auto flow = band.flows.find(flight->flow);
  flow->second.flights.Erase(flight);
  if (flow->second.flights.empty()) {
    band.turns.Erase(&flow->second);
    band.flows.erase(flow);
  }
  if (flight->soft_deadline != kNever) band.soft_deadlines.erase({flight->soft_deadline, flight});
  band.size -= flight->size;
  if (--band.count == 0) bands_.erase(at);
}

void WaitQueue::SetPriority(Flight* flight, Priority priority) {
  RemoveFromBand(flight);
  flight->priority = priority;
  AddToBand(flight);
}

void WaitQueue::SetSoftDeadline(Flight* flight, TimePoint soft_deadline) {
  auto& deadlines = bands_.find(flight->priority)->second.soft_deadlines;
  if (flight->soft_deadline != kNever) deadlines.erase({flight->soft_deadline, flight});
  flight->soft_deadline = soft_deadline;
  if (soft_deadline != kNever) deadlines.emplace(soft_deadline, flight);
}

TimePoint WaitQueue::earliest_soft_deadline() const {
  TimePoint earliest = kNever;
  for (const auto& [priority, band] : bands_) {
    if (!band.soft_deadlines.empty()) {
      earliest = std::min(earliest, band.soft_deadlines.begin()->first);
    }
  }
  return earliest;
}

TimePoint WaitQueue::top_soft_deadline() const {
  const auto& deadlines = bands_.begin()->second.soft_deadlines;
  return deadlines.empty() ? kNever : deadlines.begin()->first;
}

std::vector<Flight*> WaitQueue::Pop(std::size_t count, TimePoint now, Duration service_estimate) {
  count = std::min(count, size());
  std::vector<Flight*> out;
  out.reserve(count);
  while (out.size() < count) {
    // Taking a band's last Flight erases the band.
    const Bands::iterator top = bands_.begin();
    const std::size_t from_band = std::min(count - out.size(), top->second.count);
    const std::size_t target = out.size() + from_band;
    if (from_band == top->second.count) {
      PopFairly(&top->second, target, &out);
      continue;
    }
    PopUrgent(&top->second, target, now, service_estimate, &out);
    if (out.size() < target) PopFairly(&top->second, target, &out);
  }
  return out;
}

void WaitQueue::PopUrgent(Band* band, std::size_t count, TimePoint now, Duration estimate,
                          std::vector<Flight*>* out) {
  while (out->size() < count && !band->soft_deadlines.empty()) {
    const auto [deadline, flight] = *band->soft_deadlines.begin();
    if (deadline - now >= estimate) return;
    Remove(flight);
    out->push_back(flight);
  }
}

void WaitQueue::PopFairly(Band* band, std::size_t count, std::vector<Flight*>* out) {
  const double quantum =
      std::max(band->size / static_cast<double>(band->count), std::numeric_limits<double>::min());
  std::size_t turns_without_service = 0;
  while (out->size() < count) {
    FlowQueue* flow = band->turns.front();
    if (!flow->in_turn) flow->deficit += quantum;
    flow->in_turn = true;
    // The band and the flow end with their last Flight; what is needed of them is read before.
    bool flow_ended = false;
    bool served = false;
    while (!flow_ended && out->size() < count && flow->flights.front()->size <= flow->deficit) {
      Flight* flight = flow->flights.front();
      flow_ended = flow->flights.size() == 1;
      flow->deficit -= flight->size;
      served = true;
      Remove(flight);
      out->push_back(flight);
    }
    if (!flow_ended && flow->flights.front()->size > flow->deficit) {
      flow->in_turn = false;
      band->turns.Erase(flow);
      band->turns.PushBack(flow);
    }
    if (out->size() == count) return;
    turns_without_service = served ? 0 : turns_without_service + 1;
    if (turns_without_service < band->turns.size()) continue;
    // Nobody could afford their head: grant at once the rounds until the first one can.
    double rounds = std::numeric_limits<double>::max();
    for (FlowQueue* each = band->turns.front(); each != nullptr; each = band->turns.Next(each)) {
      rounds =
          std::min(rounds, std::floor((each->flights.front()->size - each->deficit) / quantum));
    }
    for (FlowQueue* each = band->turns.front(); rounds > 0 && each != nullptr;
         each = band->turns.Next(each)) {
      each->deficit += rounds * quantum;
    }
    turns_without_service = 0;
  }
}

}  // namespace vista::sched
