// The entry of vista_fast._core.
#include <pybind11/pybind11.h>

#include "engine_core.h"

namespace vista::python {
void BindDevice(pybind11::module_& m);
void BindEngine(pybind11::module_& m);
void BindGather(pybind11::module_& m);
void BindImage(pybind11::module_& m);
void BindPlanes(pybind11::module_& m);
void BindNetwork(pybind11::module_& m);
}  // namespace vista::python

PYBIND11_MODULE(_core, m) {
  m.doc() =
      "The compiled core of vista_fast. Use it through vista_fast.Engine and vista_fast.Image.";
  vista::python::WatchForks();
  vista::python::BindEngine(m);
  vista::python::BindDevice(m);
  vista::python::BindGather(m);
  vista::python::BindImage(m);
  vista::python::BindPlanes(m);
  vista::python::BindNetwork(m);
}
