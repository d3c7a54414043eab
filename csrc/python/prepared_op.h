// A native Op that is no engine's yet, so that it can be tried first.
#pragma once

#include <memory>

#include "exec/native_op.h"

namespace vista::python {

struct PreparedOp {
  std::unique_ptr<exec::NativeOp> op;  // null once an engine has it
};

}  // namespace vista::python
