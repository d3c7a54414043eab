// Encoded bytes to Images and back: JPEG, PNG and WebP.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/status.h"
#include "image/image.h"
#include "image/pixels.h"

namespace vista {

struct DecodeOptions {
  std::int64_t pixel_limit =
      kDefaultPixelLimit;  // checked against the header, before any pixel is allocated
  std::optional<ImageHash> hash = std::nullopt;  // of the encoded bytes, where it is known already
};

// Any kind of pixel becomes 8-bit RGB: grey and palettes are expanded, 16 bits cut to 8, alpha is
// laid over white, CMYK converted, EXIF orientation applied; of an animation it is the first frame.
// Truncated, empty and other bytes are kInvalidArgument, an image over the limit is
// kResourceExhausted. The hash is that of the encoded bytes.
Result<Image::Ref> Decode(std::span<const std::uint8_t> encoded, const DecodeOptions& options = {});

enum class Subsampling {
  k444,
  k422,
  k420
};  // chroma at full size, half width, half width and height

struct JpegOptions {
  int quality = 90;  // 1 to 100
  Subsampling subsampling = Subsampling::k420;
};

Result<std::string> EncodeJpeg(const PixelView& pixels, const JpegOptions& options = {});

struct PngOptions {
  int level = 6;  // zlib's, 0 (stored) to 9 (smallest)
};

Result<std::string> EncodePng(const PixelView& pixels, const PngOptions& options = {});

}  // namespace vista
