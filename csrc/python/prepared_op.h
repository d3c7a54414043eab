// A native Op apart from any engine: to be tried, and to be run from a batch function in Python.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "exec/native_op.h"

namespace vista::python {

struct PreparedOp {
  std::shared_ptr<const exec::NativeOp> op;
};

// The same as an engine's own.
class SharedOp final : public exec::NativeOp {
 public:
  explicit SharedOp(std::shared_ptr<const exec::NativeOp> op) : op_(std::move(op)) {}

  [[nodiscard]] const sched::OpSpec& spec() const override { return op_->spec(); }
  [[nodiscard]] Result<sched::CallTraits> Inspect(const Value& arguments) const override {
    return op_->Inspect(arguments);
  }
  [[nodiscard]] std::vector<Result<Value>> Run(std::span<const Value> calls) const override {
    return op_->Run(calls);
  }

 private:
  const std::shared_ptr<const exec::NativeOp> op_;
};

}  // namespace vista::python
