#include "sched/admission.h"

#include <algorithm>
#include <tuple>

namespace vista::sched {

bool Admission::HasRoom(const Flight& flight) const {
  return flights_ == 0 || (flights_ < limits_.flights && bytes_ + BytesOf(flight) <= limits_.bytes);
}

std::size_t Admission::BytesOf(const Flight& flight) const {
  std::size_t bytes = flight.bytes;
  for (const ObjectRef& object : flight.objects) {
    if (!holders_.contains(object.get())) bytes += object->bytes();
  }
  return bytes;
}

void Admission::Take(const Flight& flight) {
  ++flights_;
  bytes_ += flight.bytes;
  for (const ObjectRef& object : flight.objects) {
    if (++holders_[object.get()] == 1) bytes_ += object->bytes();
  }
}

bool Admission::Enter(Flight* flight, bool force) {
  OpState* op = flight->op;
  // It may pass those who wait for room in the queue of another Op, and nobody else.
  const bool first_in_line =
      op->lobby.empty() && std::all_of(crowded_.begin(), crowded_.end(),
                                       [](const OpState* each) { return each->QueueIsFull(); });
  if (force || (first_in_line && !op->QueueIsFull() && HasRoom(*flight))) {
    Take(*flight);
    return true;
  }
  if (op->lobby.empty()) crowded_.push_back(op);
  flight->state = FlightState::kLobby;
  op->lobby.Push(flight);
  ++waiting_;
  return false;
}

void Admission::Leave(const Flight& flight) {
  --flights_;
  bytes_ -= flight.bytes;
  for (const ObjectRef& object : flight.objects) {
    const auto at = holders_.find(object.get());
    if (--at->second > 0) continue;
    holders_.erase(at);
    bytes_ -= object->bytes();
  }
}

void Admission::LeaveLobby(Flight* flight) {
  flight->op->lobby.Remove(flight);
  CountOut(flight->op);
}

void Admission::CountOut(OpState* op) {
  --waiting_;
  if (op->lobby.empty()) std::erase(crowded_, op);
}

Flight* Admission::AdmitNext(TimePoint now) {
  const auto rank = [](const OpState& op) {
    return std::tuple(~op.lobby.top_priority(), op.lobby.oldest_arrival());
  };
  OpState* best = nullptr;
  for (OpState* op : crowded_) {
    if (!op->QueueIsFull() && (best == nullptr || rank(*op) < rank(*best))) best = op;
  }
  if (best == nullptr) return nullptr;
  Flight* flight = best->NextOf(best->lobby, 1, now);
  if (!HasRoom(*flight)) return nullptr;
  best->lobby.Serve(flight, best->service_times.OfCall(flight->size));
  CountOut(best);
  Take(*flight);
  return flight;
}

}  // namespace vista::sched
