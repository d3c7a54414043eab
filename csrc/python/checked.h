// What CPython's own functions return, as objects of the binding.
#pragma once

#include <pybind11/pybind11.h>

namespace vista::python {

// Takes over a new reference; raises what Python says when there is none.
inline pybind11::object Checked(PyObject* made) {
  if (made == nullptr) throw pybind11::error_already_set();
  return pybind11::reinterpret_steal<pybind11::object>(made);
}

inline pybind11::object Interned(const char* text) {
  return Checked(PyUnicode_InternFromString(text));
}

}  // namespace vista::python
