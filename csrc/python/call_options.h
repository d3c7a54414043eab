// What every submit takes beside the call itself, and whether it is made on behalf of another.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>

#include "sched/flight.h"

namespace vista::python {

// Deadlines are seconds from now.
struct CallOptions {
  sched::Flow flow = 0;
  sched::Priority priority = 0;
  std::optional<double> soft_deadline;
  std::optional<double> deadline;
  std::optional<double> room_timeout;
  bool nested = false;
};

// The options as Engine's methods take them, in their order.
struct GivenOptions {
  pybind11::handle flow;  // hashable
  pybind11::handle priority;
  pybind11::handle soft_deadline;
  pybind11::handle deadline;
  pybind11::handle room_timeout;
  pybind11::handle nested;
};

// Raises TypeError for what is of another type. A call from a thread that serves calls is nested.
CallOptions ReadOptions(const GivenOptions& given);

// Flows are told apart by their hash; a collision would only make two flows share their turns.
sched::Flow FlowOf(pybind11::handle flow);

// Declares that this thread serves calls itself: a call that it makes is on behalf of an admitted
// one and may not wait for admission, or the engine could wait for itself.
void MarkEngineThread();
bool OnEngineThread();

}  // namespace vista::python
