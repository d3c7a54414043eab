// The one translator between Status and the typed exceptions of vista_fast.errors.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "base/status.h"

namespace vista::python {

// The exception instance for a failed Status. A VistaError that an Op raised comes back as it is;
// any other exception is the __cause__ of an OpError.
pybind11::object ToException(const Status& status);
// Raises it.
[[noreturn]] void Raise(const Status& status);

template <typename T>
T ValueOrRaise(Result<T> result) {
  if (!result.ok()) Raise(result.status());
  return std::move(result).value();
}

// The failure of an Op whose batch function raised, or returned, this exception.
Status FromException(const std::string& op, pybind11::handle exception);

}  // namespace vista::python
