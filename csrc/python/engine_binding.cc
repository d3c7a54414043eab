// Binds EngineCore and what goes with it, for vista_fast.engine, its only caller.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cmath>
#include <memory>
#include <string>
#include <utility>

#include "base/value.h"
#include "engine_core.h"
#include "foreign.h"
#include "gil.h"
#include "loop_calls.h"

namespace py = pybind11;

namespace vista::python {
namespace {

sched::RequestId Submit(EngineCore& core, const std::string& op, py::dict arguments,
                        const std::shared_ptr<CompletionQueue>& queue, py::object future,
                        bool wait_for_room, py::handle flow, py::handle priority,
                        py::handle soft_deadline, py::handle deadline, py::handle room_timeout,
                        py::handle nested) {
  return core.Submit(core.Find(op), std::move(arguments),
                     ReadOptions({flow, priority, soft_deadline, deadline, room_timeout, nested}),
                     queue, std::move(future), wait_for_room);
}

std::unique_ptr<Many> SubmitMany(EngineCore& core, const std::string& op, py::list calls,
                                 py::handle flow, py::handle priority, py::handle soft_deadline,
                                 py::handle deadline, py::handle room_timeout, py::handle nested) {
  return core.SubmitMany(
      op, std::move(calls),
      ReadOptions({flow, priority, soft_deadline, deadline, room_timeout, nested}));
}

py::object Call(EngineCore& core, const std::string& op, py::dict arguments, py::handle flow,
                py::handle priority, py::handle soft_deadline, py::handle deadline,
                py::handle room_timeout, py::handle nested) {
  return core.CallAndWait(
      op, std::move(arguments),
      ReadOptions({flow, priority, soft_deadline, deadline, room_timeout, nested}));
}

sched::ExpectationId Expect(EngineCore& core, const std::string& op, py::handle flow) {
  return core.Expect(op, FlowOf(flow));
}

Duration SecondsToDuration(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

sched::OpId Register(EngineCore& core, std::string name, std::string version, std::size_t max_batch,
                     double max_delay, bool linger, bool adaptive, bool cacheable, int concurrency,
                     std::size_t max_in_flight, std::size_t max_queue, double timeout,
                     py::object key, py::object size) {
  sched::OpSpec spec;
  spec.name = std::move(name);
  spec.version = std::move(version);
  spec.policy = {max_batch, SecondsToDuration(max_delay), linger, adaptive};
  spec.cacheable = cacheable;
  spec.concurrency = concurrency;
  spec.max_in_flight = max_in_flight;
  spec.max_queue = max_queue;
  spec.timeout = SecondsToDuration(timeout);
  return core.Register(std::move(spec), std::move(key), std::move(size));
}

// Appends what has arrived as (place, value, error, outcome). It is kept before this returns,
// because a signal handler may raise as soon as it does.
void TakeMany(Many& many, py::list kept) {
  for (const sched::Completion& taken : many.completions->Take()) {
    Seen seen = See(taken);
    kept.append(
        py::make_tuple(taken.token, std::move(seen.value), std::move(seen.error), seen.outcome));
  }
  ReleaseNow();
}

// The part of a wait after which pending signals are looked at.
Duration Slice(double timeout) {
  constexpr double kSignalInterval = 0.05;  // seconds
  return SecondsToDuration(std::min(timeout, kSignalInterval));
}

// Blocks for at most `timeout` seconds, and for at most one signal interval: the caller asks again.
bool WaitMany(Many& many, std::size_t enough, double timeout) {
  const GilReleased no_gil;
  return many.completions->WaitFor(enough, Slice(timeout));
}

void NotifyMany(Many& many, std::size_t enough, const std::shared_ptr<CompletionQueue>& queue,
                py::object future) {
  many.completions->NotifyAt(enough, queue,
                             reinterpret_cast<std::uint64_t>(future.release().ptr()));
}

// Blocks for at most `timeout` seconds, and for at most one signal interval: the caller asks again.
// True when the future's `_taken` is (value, error, outcome). It is set before this returns,
// because a signal handler may raise as soon as it does.
bool TakeOne(CompletionQueue& queue, const py::object& future, std::uint64_t rounds, double timeout,
             bool spins) {
  std::optional<sched::Completion> taken;
  {
    const GilReleased no_gil;
    taken =
        queue.TakeOne(reinterpret_cast<std::uint64_t>(future.ptr()), rounds, Slice(timeout), spins);
  }
  if (!taken) return false;
  // The queue's own reference to the future, which the caller holds too.
  Py_DECREF(reinterpret_cast<PyObject*>(taken->token));
  Seen seen = See(*taken);
  future.attr("_taken") =
      py::make_tuple(std::move(seen.value), std::move(seen.error), seen.outcome);
  ReleaseNow();
  return true;
}

void BindCompletions(py::module_& m) {
  py::class_<CompletionQueue, std::shared_ptr<CompletionQueue>>(m, "CompletionQueue")
      .def(py::init(&CompletionQueue::Make))
      .def("fileno", &CompletionQueue::fileno)
      .def("drain", &CompletionQueue::Drain)
      .def("settle_on_loop", &SettleOnLoop)
      .def("take_one", &TakeOne)
      .def("rounds", &CompletionQueue::rounds)
      .def("end_round", &CompletionQueue::EndRound)
      .def("wait", &CompletionQueue::Wait, py::arg("timeout") = py::none())
      .def_property_readonly("closed", &CompletionQueue::closed)
      .def("close", &CompletionQueue::Close);
  py::class_<Many>(m, "Many")
      .def("__len__", [](const Many& many) { return many.completions->count(); })
      .def_property_readonly("arrived", [](Many& many) { return many.completions->arrived(); })
      .def_readonly("requests", &Many::requests)
      .def("take", &TakeMany)
      .def("wait", &WaitMany)
      .def("notify", &NotifyMany);
}

}  // namespace

void BindEngine(py::module_& m) {
  py::class_<Object, std::shared_ptr<Object>>(m, "Object");
  BindCompletions(m);
  m.def("mark_engine_thread", &MarkEngineThread);
  m.def("on_engine_thread", &OnEngineThread);
  m.def("release_now", &ReleaseNow);
  py::class_<HeldBatch>(m, "HeldBatch").def(py::init<>());
  py::class_<EngineCore, std::shared_ptr<EngineCore>>(m, "EngineCore")
      .def(py::init<int, std::size_t, std::size_t, std::size_t>())
      .def("open_images_with", &EngineCore::OpenImagesWith)
      .def("redirect", &EngineCore::Redirect)
      .def("register", &Register, py::kw_only(), py::arg("name"), py::arg("version"),
           py::arg("max_batch"), py::arg("max_delay"), py::arg("linger"), py::arg("adaptive"),
           py::arg("cacheable"), py::arg("concurrency"), py::arg("max_in_flight"),
           py::arg("max_queue"), py::arg("timeout"), py::arg("key"), py::arg("size"))
      .def("add_op", &EngineCore::AddOp)
      .def("op_names", &EngineCore::OpNames)
      .def("carried_across_fork", &EngineCore::CarriedAcrossFork)
      .def("check_alive", &EngineCore::CheckAlive)
      .def("check_open", &EngineCore::CheckOpen)
      .def("submit", &Submit)
      .def("submit_many", &SubmitMany)
      .def("call", &Call)
      .def("cancel", &EngineCore::Cancel)
      .def("expect", &Expect)
      .def("release", &EngineCore::Release)
      .def("lease", &EngineCore::Lease)
      .def("complete", &EngineCore::Complete)
      .def("fail", &EngineCore::Fail)
      .def("lose", &EngineCore::Lose)
      .def("take_lost_pullers", &EngineCore::TakeLostPullers)
      .def("watch_lost_pullers", &EngineCore::WatchLostPullers)
      .def("start_trace", &EngineCore::StartTrace)
      .def("stop_trace", &EngineCore::StopTrace)
      .def("stats", &EngineCore::Stats)
      .def("close", &EngineCore::Close);
  BindLoopCaller(m);
}

}  // namespace vista::python
