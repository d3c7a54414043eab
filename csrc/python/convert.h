// Values across the border: Python objects to Values and back, and the identity of a call straight
// from its arguments.
#pragma once

#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "base/status.h"
#include "base/value.h"

namespace vista::python {

// Arguments for a native Op: None, bool, int, float, str, bytes, list, tuple, dict with str keys,
// ndarray (copied), numpy scalar, bound Object. Anything else is kInvalidArgument.
Result<Value> ToValue(pybind11::handle object);

// Appends the canonical bytes of the same kinds, without building the Value. kFailedPrecondition
// for an object that has no identity; NaN is kInvalidArgument.
Status AppendIdentity(pybind11::handle object, std::string* out);

// A result of a native Op: a List becomes a tuple, a Tensor a read-only ndarray over the same
// memory, Bytes bytes. A Foreign gives its object; lists and dicts in it are copied, so that no
// receiver can change another's.
pybind11::object FromValue(const Value& value);

// A result of a Python Op, made safe to share: arrays become read-only and own their memory, lists
// and dicts are rebuilt. kInvalidArgument for one that is nested too deep; the message goes on from
// "a result".
Result<Value> Freeze(pybind11::handle result);

// Roughly what the arguments of a Python Op keep alive, in bytes: arrays, byte strings and bound
// Objects, one level deep. Appends those Objects to `objects`.
std::size_t ArgumentBytes(pybind11::dict arguments, std::vector<ObjectRef>* objects);

}  // namespace vista::python
