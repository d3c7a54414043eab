// The pullers' side of EngineCore: Batches whose function is in Python.
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convert.h"
#include "engine_core.h"
#include "errors.h"
#include "foreign.h"
#include "gil.h"

namespace py = pybind11;

namespace vista::python {
namespace {

// What a batch function returned, as one result per call.
BatchResults ResultsOf(const std::string& name, const py::object& results) {
  const bool is_sequence = PySequence_Check(results.ptr()) != 0 &&
                           !PyUnicode_Check(results.ptr()) && !PyBytes_Check(results.ptr());
  if (!is_sequence) {
    const auto type = py::type::handle_of(results).attr("__name__").cast<std::string>();
    return Status::Internal("the batch function of '" + name + "' returned " + type +
                            "; it must return a list with one result per call");
  }
  std::vector<Result<Value>> values;
  try {
    values.reserve(py::len(results));
    for (const py::handle item : results) {
      if (PyExceptionInstance_Check(item.ptr())) {
        values.emplace_back(FromException(name, item));
      } else {
        Result<Value> frozen = Freeze(item);
        values.push_back(frozen.ok() ? std::move(frozen)
                                     : Status::Internal("a result of '" + name + "' " +
                                                        frozen.status().message()));
      }
    }
  } catch (const py::error_already_set& error) {
    return FromException(name, error.value());
  }
  return values;
}

}  // namespace

py::object EngineCore::Lease(sched::OpId op, HeldBatch* held) {
  ReleaseNow();
  std::optional<sched::Batch> batch;
  const sched::LaneId lane = by_id_[op]->lane;  // Register may move the vector; the GIL guards it
  {
    // One stay without the GIL, so that whoever waits for the calls that end here finds it free.
    GilReleased no_gil;
    if (EndHeld(held)) {
      batch = engine_->scheduler().Take(lane, [&] {
        if (ReleasesWait()) no_gil.Interrupt(ReleaseNow);
      });
    }
    if (batch) held->id = batch->id;
  }
  if (!batch) return py::none();
  py::list calls(batch->calls->size());
  for (std::size_t i = 0; i < batch->calls->size(); ++i) {
    calls[i] = FromValue((*batch->calls)[i]);
  }
  return calls;
}

bool EngineCore::EndHeld(HeldBatch* held) {
  if (held->id == 0) return true;
  sched::Scheduler& scheduler = engine_->scheduler();
  std::optional<BatchResults> results = std::exchange(held->results, std::nullopt);
  bool kept = false;
  if (!results) {
    kept = scheduler.Fail(held->id, Status::Internal("this Batch was given up before it had run"));
  } else if (results->ok()) {
    kept = scheduler.Complete(held->id, std::move(*results).value());
  } else {
    kept = scheduler.Fail(held->id, results->status());
  }
  if (kept) held->id = 0;
  return kept;
}

void EngineCore::Complete(sched::OpId op, HeldBatch* held, const py::object& results) {
  held->results = ResultsOf(by_id_[op]->name, results);
}

void EngineCore::Fail(sched::OpId op, HeldBatch* held, const py::object& exception) {
  held->results = FromException(by_id_[op]->name, exception);
}

void EngineCore::Lose(sched::OpId op, const HeldBatch& held) {
  if (CarriedAcrossFork()) return;
  if (held.id == 0) return PullerLost(op);
  engine_->scheduler().Lose(held.id,
                            Status::Aborted("a thread that ran '" + by_id_[op]->name +
                                            "' ended before this call was done; submit it again"));
}

void EngineCore::PullerLost(sched::OpId op) {
  std::shared_ptr<CompletionQueue> queue;
  {
    const std::lock_guard lock(lost_mutex_);
    lost_pullers_.push_back(op);
    queue = lost_queue_.lock();
  }
  if (queue) queue->Poke();
}

std::vector<sched::OpId> EngineCore::TakeLostPullers() {
  std::vector<sched::OpId> lost;
  const std::lock_guard lock(lost_mutex_);
  lost.swap(lost_pullers_);
  return lost;
}

void EngineCore::WatchLostPullers(const std::shared_ptr<CompletionQueue>& queue) {
  const std::lock_guard lock(lost_mutex_);
  lost_queue_ = queue;
}

}  // namespace vista::python
