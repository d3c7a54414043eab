// The one thing that is read from EXIF: how the camera was held.
#pragma once

#include <cstdint>
#include <span>

#include "image/orient.h"

namespace vista {

// The Orientation of a TIFF stream, with or without "Exif\0\0" before it. None when it is absent or
// malformed: wrong metadata does not spoil a picture.
Orientation ExifOrientation(std::span<const std::uint8_t> exif);

}  // namespace vista
