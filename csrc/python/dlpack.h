// The part of the DLPack protocol that Images speak; the layouts are those of DLPack's C header,
// versions 0 and 1.0.
#pragma once

#include <pybind11/pybind11.h>

#include "image/image.h"

namespace vista::python {

// A capsule over uint8 [height, width, 3] on the CPU. Versioned ones say that the tensor is
// read-only, where it is the Image's own memory; older ones can't, so that only a copy may be
// handed out.
enum class DlpackForm { kCopy, kVersionedCopy, kVersionedShared };
pybind11::capsule ToDlpack(const Image::Ref& image, DlpackForm form);

}  // namespace vista::python
