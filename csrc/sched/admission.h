// Admission: bounds the Flights inside the engine in count and in bytes of arguments, where what
// many of them look at counts once, and those that wait for one Op. What finds no room waits in its
// Op's lobby, where flows take fair turns too; nothing is refused, because a refusal would bias
// training.
#pragma once

#include <atomic>
#include <cstddef>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "sched/op_state.h"

namespace vista::sched {

struct AdmissionLimits {
  std::size_t flights = 65536;
  std::size_t bytes = std::size_t{1} << 30;
};

class Admission {
 public:
  explicit Admission(AdmissionLimits limits) : limits_(limits) {}

  // Takes room for the Flight, or puts it into the lobby; true when it got room. With `force` it
  // gets room in any case.
  bool Enter(Flight* flight, bool force);
  // Gives back the room of a Flight that is in no lobby.
  void Leave(const Flight& flight);
  void LeaveLobby(Flight* flight);
  // The next Flight of the lobbies for which there is room by now, with its room taken; else null.
  Flight* AdmitNext(TimePoint now);

  [[nodiscard]] std::size_t flights() const { return flights_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  // In all lobbies. Any thread may ask.
  [[nodiscard]] std::size_t waiting() const { return waiting_.load(std::memory_order_relaxed); }

 private:
  // A Flight over the limit in bytes gets room when it would be the only one.
  [[nodiscard]] bool HasRoom(const Flight& flight) const;
  // What the bytes inside would grow by.
  [[nodiscard]] std::size_t BytesOf(const Flight& flight) const;
  void Take(const Flight& flight);
  void CountOut(OpState* op);

  AdmissionLimits limits_;
  std::size_t flights_ = 0;
  std::size_t bytes_ = 0;
  std::unordered_map<const Object*, std::size_t> holders_;  // how many Flights inside hold each
  std::atomic<std::size_t> waiting_{0};
  std::vector<OpState*> crowded_;  // the Ops with someone in their lobby
};

}  // namespace vista::sched
