// NativeOp: a deterministic batched function in C++. csrc/ops implements it; the registry hands
// every one of them to the engine when it is made.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/value.h"
#include "sched/op_spec.h"

namespace vista::exec {

class NativeOp {
 public:
  virtual ~NativeOp() = default;

  [[nodiscard]] virtual const sched::OpSpec& spec() const = 0;

  // Checks a call's arguments (a Dict by name; the positional image is its entry "image") and says
  // how it batches. Runs on the submitting thread, so it must be cheap. A failure completes the
  // call at once.
  [[nodiscard]] virtual Result<sched::CallTraits> Inspect(const Value& arguments) const = 0;

  // Runs a batch whose calls all passed Inspect with one compatibility key; gives one result per
  // call, in their order. Several threads may run batches of one Op at once (see
  // OpSpec::concurrency). Results are shared, so nothing may write to them later. A batch of one
  // and a batch of N must give the same bytes.
  [[nodiscard]] virtual std::vector<Result<Value>> Run(std::span<const Value> calls) const = 0;
};

using NativeOps = std::vector<std::unique_ptr<NativeOp>>;

}  // namespace vista::exec

namespace vista::ops {

// All native Ops of the build; csrc/ops implements it.
exec::NativeOps All();

}  // namespace vista::ops
