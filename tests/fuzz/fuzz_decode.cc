// Any bytes as an encoded image: decoded, or a typed error. What can be decoded survives being
// encoded as a PNG.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

#include "image/codec.h"
#include "image/exif.h"

namespace {

constexpr std::int64_t kMostPixels = 1 << 16;

void Require(bool holds) {
  if (!holds) std::abort();
}

// A region and a least size that bytes of the file choose.
void DecodePart(std::span<const std::uint8_t> bytes) {
  if (bytes.size() < 64) return;
  const double left = bytes[40] % 64;
  const double top = bytes[41] % 64;
  vista::DecodeOptions options = {.pixel_limit = kMostPixels};
  options.region = {left, top, left + 1 + bytes[42], top + 1 + bytes[43]};
  options.at_least = vista::Size{1 + bytes[44] % 32, 1 + bytes[45] % 32};
  const vista::Result<vista::Image::Ref> part = vista::Decode(bytes, options);
  if (!part.ok()) return;
  Require(part.value()->width() <= 1 + bytes[42] && part.value()->height() <= 1 + bytes[43]);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::uint8_t> bytes(data, size);
  (void)vista::ExifOrientation(bytes);
  DecodePart(bytes);
  const vista::Result<vista::Image::Ref> decoded = vista::Decode(bytes, {kMostPixels});
  if (!decoded.ok()) {
    Require(decoded.status().code() == vista::StatusCode::kInvalidArgument ||
            decoded.status().code() == vista::StatusCode::kResourceExhausted);
    return 0;
  }
  const vista::Image& image = *decoded.value();
  Require(std::int64_t{image.width()} * image.height() <= kMostPixels);
  const vista::Result<std::string> png = vista::EncodePng(image.view(), {1});
  Require(png.ok());
  const std::string& encoded = png.value();
  const vista::Result<vista::Image::Ref> again =
      vista::Decode({reinterpret_cast<const std::uint8_t*>(encoded.data()), encoded.size()});
  Require(again.ok() && again.value()->size() == image.size());
  Require(std::memcmp(again.value()->data(), image.data(),
                      3 * static_cast<std::size_t>(image.width()) *
                          static_cast<std::size_t>(image.height())) == 0);
  return 0;
}
