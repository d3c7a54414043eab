#include "sched/admission.h"

namespace vista::sched {

bool Admission::HasRoom(const Flight& flight) const {
  return flights_ == 0 || (flights_ < limits_.flights && bytes_ + flight.bytes <= limits_.bytes);
}

void Admission::Take(const Flight& flight) {
  ++flights_;
  bytes_ += flight.bytes;
}

bool Admission::Enter(Flight* flight, bool force) {
  if (force || (lobby_.empty() && HasRoom(*flight))) {
    Take(*flight);
    return true;
  }
  ReturnToLobby(flight);
  return false;
}

void Admission::ReturnToLobby(Flight* flight) {
  flight->state = FlightState::kLobby;
  lobby_[flight->priority].PushBack(flight);
  ++waiting_;
}

void Admission::Leave(const Flight& flight) {
  --flights_;
  bytes_ -= flight.bytes;
}

void Admission::LeaveLobby(Flight* flight) {
  const auto at = lobby_.find(flight->priority);
  at->second.Erase(flight);
  if (at->second.empty()) lobby_.erase(at);
  --waiting_;
}

Flight* Admission::AdmitNext() {
  if (lobby_.empty()) return nullptr;
  Flight* flight = lobby_.begin()->second.front();
  if (!HasRoom(*flight)) return nullptr;
  LeaveLobby(flight);
  Take(*flight);
  return flight;
}

}  // namespace vista::sched
