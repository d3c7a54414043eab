// Request and Flight: the scheduler's records. All fields are guarded by the scheduler's lock.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/value.h"
#include "sched/completion.h"
#include "sched/intrusive_list.h"
#include "sched/tally.h"

namespace vista::sched {

using Flow = std::uint64_t;
using Priority = std::int64_t;  // larger goes first
using RequestId = std::uint64_t;
using BatchId = std::uint64_t;

// A call's full identity with its hash, which is computed once. Equality compares the bytes.
struct Identity {
  Identity() = default;
  explicit Identity(std::string full_key)
      : bytes(std::move(full_key)), hash(std::hash<std::string>()(bytes)) {}

  std::string bytes;  // empty: the call has no identity, so it is neither joined nor cached
  std::size_t hash = 0;
};

struct IdentityHash {
  std::size_t operator()(const Identity* identity) const { return identity->hash; }
};
struct IdentityEqual {
  bool operator()(const Identity* a, const Identity* b) const {
    return a->hash == b->hash && a->bytes == b->bytes;
  }
};

struct OpState;
struct Flight;
struct FlowQueue;
class WaitQueue;

struct Request {
  RequestId id = 0;
  Flight* flight = nullptr;
  SinkRef sink;
  std::uint64_t token = 0;
  Outcome outcome = Outcome::kRun;
  Flow flow = 0;
  Priority priority = 0;
  TimePoint arrived;
  TimePoint soft_deadline = kNever;
  TimePoint hard_deadline = kNever;
  TimePoint room_deadline = kNever;  // when it gives up waiting for admission
  TimePoint timer = kNever;          // which of the two is due next
  ListHook<Request> waiters_hook;
};

enum class FlightState : std::uint8_t {
  kLobby,    // waits for admission
  kWaiting,  // admitted, waits for a Batch
  kRunning,  // in a Batch
};

struct Flight {
  void AddWaiter(Request* request) {
    waiters.PushBack(request);
    priorities.Add(request->priority);
    soft_deadlines.Add(request->soft_deadline);
  }
  void RemoveWaiter(Request* request) {
    waiters.Erase(request);
    priorities.Remove(request->priority);
    soft_deadlines.Remove(request->soft_deadline);
  }

  OpState* op = nullptr;
  Identity identity;
  Value arguments;
  std::vector<ObjectRef> objects;  // in them, each counted once however many Flights hold it
  std::string compatibility;
  double size = 1;
  std::size_t bytes = 0;  // of the arguments without `objects`
  Flow flow = 0;          // of the Request that started it
  Priority priority = 0;  // the highest of its waiters'
  TimePoint arrived;
  TimePoint soft_deadline = kNever;  // the earliest of its waiters'
  FlightState state = FlightState::kLobby;
  BatchId batch = 0;           // while it runs
  WaitQueue* queue = nullptr;  // while it waits
  FlowQueue* line = nullptr;   // its flow's, in that queue
  IntrusiveList<Request, &Request::waiters_hook> waiters;
  Tally<Priority, std::greater<>> priorities;  // of its waiters
  Tally<TimePoint> soft_deadlines;             // of its waiters

  ListHook<Flight> arrival_hook;  // in its queue
  ListHook<Flight> flow_hook;     // in its line
};

}  // namespace vista::sched
