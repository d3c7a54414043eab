// The part of the DLPack protocol that Images speak; the layouts are those of DLPack's C header,
// versions 0 and 1.0.
#pragma once

#include <pybind11/pybind11.h>

#include "image/image.h"

namespace vista::python {

// A capsule over an Image's pixels, uint8 [height, width, 3] on the CPU. A consumer that knows
// DLPack 1.0 gets the pixels themselves, marked read-only, unless it asks for a copy; an older one
// could write to them, and gets a copy.
pybind11::capsule ToDlpack(const Image::Ref& image, bool consumer_knows_1_0, bool copy);

}  // namespace vista::python
