// What codec.cc asks of each format's file.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "image/codec.h"
#include "image/orient.h"
#include "image/pixels.h"

namespace vista {

struct Decoded {
  Pixels pixels;
  Orientation orientation;  // still to be applied
  bool is_region = false;   // the pixels are the region that was asked for, not the whole picture
};

Result<Decoded> DecodeJpeg(std::span<const std::uint8_t> encoded, const DecodeOptions& options);
Result<Decoded> DecodePng(std::span<const std::uint8_t> encoded, std::int64_t pixel_limit);
Result<Decoded> DecodeWebp(std::span<const std::uint8_t> encoded, std::int64_t pixel_limit);

// Lays RGBA pixels over white. `from` and `to` may be the same memory.
void FlattenOverWhite(const std::uint8_t* from, std::size_t pixels, std::uint8_t* to);

// kResourceExhausted; `what` names the picture ("the PNG").
Status NoMemoryToDecode(const char* what, std::size_t bytes);
Status NoMemoryToEncode(Size size);

}  // namespace vista
