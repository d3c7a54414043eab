// Completion: the one result or typed error that every accepted Request gets, and where it goes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/status.h"
#include "base/value.h"

namespace vista::sched {

// How a Request came to its result.
enum class Outcome : std::uint8_t {
  kRun,     // its own Flight ran
  kJoined,  // it joined a Flight that an equal Request had started
  kCached,  // the result was there
};
const char* OutcomeName(Outcome outcome);

using ResultRef = std::shared_ptr<const Value>;

struct Completion {
  std::uint64_t token = 0;  // what the submitter knows the Request by
  Status status;
  ResultRef result;  // set exactly when status is ok
  Outcome outcome = Outcome::kRun;
};

class CompletionSink {
 public:
  virtual ~CompletionSink() = default;
  // Takes the completions over (it may move out of them). Called from any thread, without the
  // scheduler's lock; must not block and must not call the scheduler. Must not throw either, and
  // where there is no memory left to take them over with, the process ends: a Completion that was
  // lost would leave its caller waiting for ever.
  virtual void Deliver(std::span<Completion> completions) = 0;
};
using SinkRef = std::shared_ptr<CompletionSink>;

}  // namespace vista::sched
