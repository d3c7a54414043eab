// DeviceArrays as Python sees them.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "cuda/device_objects.h"

namespace vista::python {

// An instance of the type that show_device_arrays_as was given, which is made of the bound array;
// before that the array itself.
pybind11::object ShowDeviceArray(const std::shared_ptr<const cuda::DeviceArray>& array);

}  // namespace vista::python
