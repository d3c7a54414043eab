// What EngineCore tells of itself: statistics and traces, as Python values.
#include <chrono>

#include "engine_core.h"

namespace py = pybind11;

namespace vista::python {
namespace {

// Powers of two that bound the buckets of a distribution in the metrics.
struct Bounds {
  int first;
  int last;
  int step;
};
constexpr Bounds kTimes = {12, 40, 2};  // 4 microseconds to 18 minutes, in ns
constexpr Bounds kSizes = {1, 12, 1};

py::list Buckets(const Histogram& histogram, double unit, const Bounds& bounds) {
  py::list buckets;
  for (int bits = bounds.first; bits <= bounds.last; bits += bounds.step) {
    const auto at_most = static_cast<double>((std::uint64_t{1} << bits) - 1);
    buckets.append(py::make_tuple(at_most * unit, histogram.CountWithin(bits)));
  }
  return buckets;
}

py::dict Distribution(const Histogram& histogram, double unit, const Bounds& bounds) {
  py::dict out;
  out["sum"] = histogram.sum() * unit;
  out["buckets"] = Buckets(histogram, unit, bounds);
  out["count"] = histogram.count();
  out["mean"] = histogram.mean() * unit;
  out["p50"] = static_cast<double>(histogram.Quantile(0.5)) * unit;
  out["p90"] = static_cast<double>(histogram.Quantile(0.9)) * unit;
  out["p99"] = static_cast<double>(histogram.Quantile(0.99)) * unit;
  out["max"] = static_cast<double>(histogram.max()) * unit;
  return out;
}

py::dict OpStatsDict(const sched::OpStats& stats) {
  constexpr double kSecondsPerNs = 1e-9;
  py::dict out;
  out["submitted"] = stats.submitted;
  out["succeeded"] = stats.succeeded;
  out["failed"] = stats.failed;
  out["expired"] = stats.expired;
  out["cancelled"] = stats.cancelled;
  out["aborted"] = stats.aborted;
  out["joined"] = stats.joined;
  out["cached"] = stats.cached;
  out["evicted"] = stats.evicted;
  out["batches"] = stats.batches;
  out["rerun_alone"] = stats.rerun_alone;
  out["lost_pullers"] = stats.lost_pullers;
  py::dict reasons;
  for (std::size_t i = 0; i < sched::kCloseReasons; ++i) {
    reasons[sched::CloseReasonName(static_cast<sched::CloseReason>(i))] = stats.close_reasons[i];
  }
  out["close_reasons"] = reasons;
  out["batch_size"] = Distribution(stats.batch_size, 1, kSizes);
  out["queue"] = Distribution(stats.queue, kSecondsPerNs, kTimes);
  out["batch_wait"] = Distribution(stats.batch_wait, kSecondsPerNs, kTimes);
  out["run"] = Distribution(stats.run, kSecondsPerNs, kTimes);
  out["latency"] = Distribution(stats.latency, kSecondsPerNs, kTimes);
  out["waiting"] = stats.waiting;
  out["running"] = stats.running;
  out["expected"] = stats.expected;
  out["cached_bytes"] = stats.cached_bytes;
  return out;
}

}  // namespace

void EngineCore::StartTrace(std::size_t capacity) {
  CheckAlive();
  engine_->scheduler().StartTrace(capacity);
}

py::dict EngineCore::StopTrace() {
  CheckAlive();
  const sched::Trace trace = engine_->scheduler().StopTrace();
  const auto seconds = [](TimePoint at) {
    return std::chrono::duration<double>(at.time_since_epoch()).count();
  };
  py::list batches(trace.batches.size());
  for (std::size_t i = 0; i < trace.batches.size(); ++i) {
    const sched::BatchSpan& span = trace.batches[i];
    batches[i] =
        py::make_tuple(span.op, span.batch, seconds(span.started), seconds(span.ended), span.size);
  }
  py::list requests(trace.requests.size());
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    const sched::RequestSpan& span = trace.requests[i];
    requests[i] =
        py::make_tuple(span.op, span.flow, seconds(span.arrived), seconds(span.completed),
                       sched::OutcomeName(span.outcome), StatusCodeName(span.status), span.batch);
  }
  py::dict out;
  out["ops"] = OpNames();
  out["batches"] = batches;
  out["requests"] = requests;
  out["left_out"] = trace.left_out;
  return out;
}

py::dict EngineCore::Stats() {
  CheckAlive();
  const sched::SchedulerStats stats = engine_->scheduler().Stats();
  py::dict ops;
  for (const auto& [name, op] : stats.ops) ops[py::str(name)] = OpStatsDict(op);
  py::dict cache;
  cache["entries"] = stats.cache_entries;
  cache["bytes"] = stats.cache_bytes;
  cache["budget"] = stats.cache_budget;
  py::dict admission;
  admission["outstanding"] = stats.outstanding;
  admission["flights"] = stats.flights;
  admission["bytes"] = stats.flight_bytes;
  admission["lobby"] = stats.lobby;
  py::dict out;
  out["ops"] = ops;
  out["cache"] = cache;
  out["admission"] = admission;
  return out;
}

}  // namespace vista::python
