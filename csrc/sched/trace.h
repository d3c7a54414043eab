// Trace: spans of Batches and Requests, kept while someone asks for them. Guarded by the
// scheduler's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "sched/completion.h"
#include "sched/expectations.h"
#include "sched/flight.h"

namespace vista::sched {

struct BatchSpan {
  OpId op = 0;
  BatchId batch = 0;
  TimePoint started;
  TimePoint ended;
  std::size_t size = 0;
};

struct RequestSpan {
  OpId op = 0;
  Flow flow = 0;
  TimePoint arrived;
  TimePoint completed;
  Outcome outcome = Outcome::kRun;
  StatusCode status = StatusCode::kOk;
  BatchId batch = 0;  // the last one that it was in; 0: none
};

struct Trace {
  std::vector<BatchSpan> batches;
  std::vector<RequestSpan> requests;
  std::size_t left_out = 0;  // spans beyond the capacity
};

class Tracer {
 public:
  // Keeps at most `capacity` spans of each kind from now on, and forgets those before.
  void Start(std::size_t capacity) {
    trace_ = {};
    capacity_ = capacity;
  }
  Trace Stop() {
    capacity_ = 0;
    return std::exchange(trace_, {});
  }

  void Add(const BatchSpan& span) { Add(&trace_.batches, span); }
  void Add(const RequestSpan& span) { Add(&trace_.requests, span); }

 private:
  template <typename Span>
  void Add(std::vector<Span>* spans, const Span& span) {
    if (capacity_ == 0) return;
    if (spans->size() < capacity_) {
      spans->push_back(span);
    } else {
      ++trace_.left_out;
    }
  }

  Trace trace_;
  std::size_t capacity_ = 0;  // 0: not tracing
};

}  // namespace vista::sched
