// What codec.cc asks of each format's file.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "image/orient.h"
#include "image/pixels.h"

namespace vista {

struct Decoded {
  Pixels pixels;
  Orientation orientation;  // still to be applied
};

Result<Decoded> DecodeJpeg(std::span<const std::uint8_t> encoded, std::int64_t pixel_limit);
Result<Decoded> DecodePng(std::span<const std::uint8_t> encoded, std::int64_t pixel_limit);
Result<Decoded> DecodeWebp(std::span<const std::uint8_t> encoded, std::int64_t pixel_limit);

// Lays RGBA pixels over white. `from` and `to` may be the same memory.
void FlattenOverWhite(const std::uint8_t* from, std::size_t pixels, std::uint8_t* to);

}  // namespace vista
