#include "call_options.h"

namespace py = pybind11;

namespace vista::python {
namespace {

thread_local bool serves_calls = false;

std::optional<double> ReadSeconds(py::handle given) {
  if (given.is_none()) return std::nullopt;
  const double seconds = PyFloat_AsDouble(given.ptr());
  if (seconds == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
  return seconds;
}

sched::Priority ReadPriority(py::handle given) {
  const long long priority = PyLong_AsLongLong(given.ptr());
  if (priority == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
  return priority;
}

}  // namespace

CallOptions ReadOptions(const GivenOptions& given) {
  CallOptions options;
  options.flow = FlowOf(given.flow);
  options.priority = ReadPriority(given.priority);
  options.soft_deadline = ReadSeconds(given.soft_deadline);
  options.deadline = ReadSeconds(given.deadline);
  options.room_timeout = ReadSeconds(given.room_timeout);
  const int nested = PyObject_IsTrue(given.nested.ptr());
  if (nested < 0) throw py::error_already_set();
  options.nested = serves_calls || nested == 1;
  return options;
}

sched::Flow FlowOf(py::handle flow) {
  return flow.is_none() ? 0 : static_cast<sched::Flow>(py::hash(flow));
}

void MarkEngineThread() { serves_calls = true; }

bool OnEngineThread() { return serves_calls; }

}  // namespace vista::python
