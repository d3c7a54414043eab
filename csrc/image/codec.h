// Encoded bytes to Images and back: JPEG, PNG and WebP.
#pragma once

#include <array>
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
  std::optional<ImageHash> hash = std::nullopt;  // the Image's own, where it is known already

  // (left, top, right, bottom) in pixels of the whole upright picture, resolved as by ResolveBox:
  // the Image is that part alone. Of a JPEG little more than the part is decoded.
  std::optional<std::array<double, 4>> region = std::nullopt;
  // A JPEG is decoded at 1/8, 1/4 or 1/2 of its size when what is asked for (the picture, or the
  // region) still has at least these pixels then; a box of the full size covers floor to ceil of
  // its scaled edges. Other formats keep their size.
  std::optional<Size> at_least = std::nullopt;
};

// Any kind of pixel becomes 8-bit RGB: grey and palettes are expanded, 16 bits cut to 8, alpha is
// laid over white, CMYK converted, EXIF orientation applied; of an animation it is the first frame.
// Truncated, empty and other bytes are kInvalidArgument, an image over the limit is
// kResourceExhausted. The hash is that of the encoded bytes, but that of the pixels where a region
// or a least size was asked for. Damage outside a region may go unseen.
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
