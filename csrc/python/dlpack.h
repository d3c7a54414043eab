// The part of the DLPack protocol that Images and DeviceArrays speak; the layouts are those of
// DLPack's C header, versions 0 and 1.0.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "cuda/device_objects.h"
#include "image/image.h"

namespace vista::python {

// A capsule over uint8 [height, width, 3] on the CPU. Versioned ones say that the tensor is
// read-only, where it is the Image's own memory; older ones can't, so that only a copy may be
// handed out.
enum class DlpackForm { kCopy, kVersionedCopy, kVersionedShared };
pybind11::capsule ToDlpack(const Image::Ref& image, DlpackForm form);

// Over the array's own memory, which nobody may write to, though this form can't say so. `owner`
// keeps that memory until the consumer is done.
pybind11::capsule ToDlpack(const cuda::DeviceArray& array, std::shared_ptr<const void> owner);

// Where DLPack says that it lies: (type, number).
pybind11::tuple DlpackDevice(const cuda::DeviceArray& array);

}  // namespace vista::python
