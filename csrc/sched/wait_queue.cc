#include "sched/wait_queue.h"

#include <algorithm>

namespace vista::sched {

void WaitQueue::Push(Flight* flight) {
  flight->queue = this;
  by_arrival_.PushBack(flight);
  total_size_ += flight->size;
  AddToBand(flight);
}

void WaitQueue::Remove(Flight* flight) {
  ledger_->Leave(flight);
  TakeOut(flight);
}

void WaitQueue::Serve(Flight* flight, Duration cost) {
  ledger_->Serve(flight, cost);
  TakeOut(flight);
}

void WaitQueue::TakeOut(Flight* flight) {
  LeaveBand(flight);
  by_arrival_.Erase(flight);
  flight->queue = nullptr;
  // What is lost in the rounding of huge and small sizes must not stay for ever.
  total_size_ = empty() ? 0 : std::max(total_size_ - flight->size, 0.0);
}

void WaitQueue::AddToBand(Flight* flight) {
  Band& band = bands_[flight->priority];
  ledger_->Enter(flight, &band.turns);
  if (flight->soft_deadline != kNever) band.soft_deadlines.emplace(flight->soft_deadline, flight);
  ++band.count;
}

void WaitQueue::LeaveBand(Flight* flight) {
  const auto at = bands_.find(flight->priority);
  Band& band = at->second;
  if (flight->soft_deadline != kNever) band.soft_deadlines.erase({flight->soft_deadline, flight});
  if (--band.count == 0) bands_.erase(at);
}

void WaitQueue::SetPriority(Flight* flight, Priority priority) {
  ledger_->Leave(flight);
  LeaveBand(flight);
  flight->priority = priority;
  AddToBand(flight);
}

void WaitQueue::SetSoftDeadline(Flight* flight, TimePoint soft_deadline) {
  auto& deadlines = bands_.find(flight->priority)->second.soft_deadlines;
  if (flight->soft_deadline != kNever) deadlines.erase({flight->soft_deadline, flight});
  flight->soft_deadline = soft_deadline;
  if (soft_deadline != kNever) deadlines.emplace(soft_deadline, flight);
}

Flight* WaitQueue::Next(TimePoint now, Duration service_estimate) const {
  const Band& top = bands_.begin()->second;
  if (!top.soft_deadlines.empty()) {
    const auto& [deadline, flight] = *top.soft_deadlines.begin();
    if (deadline < After(now, service_estimate)) return flight;
  }
  return top.turns.next()->flights.front();
}

const Flight* WaitQueue::soonest() const {
  const Flight* soonest = nullptr;
  for (const auto& [priority, band] : bands_) {
    const Flight* flight = Soonest(band);
    if (flight == nullptr) continue;
    if (soonest == nullptr || flight->soft_deadline < soonest->soft_deadline) soonest = flight;
  }
  return soonest;
}

}  // namespace vista::sched
