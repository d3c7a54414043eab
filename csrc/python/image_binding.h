// Image as Python sees it.
#pragma once

#include <pybind11/pybind11.h>

namespace vista::python {

// Adds Image to the module; Object must be bound already.
void BindImage(pybind11::module_& module);

}  // namespace vista::python
