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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::uint8_t> bytes(data, size);
  (void)vista::ExifOrientation(bytes);
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
