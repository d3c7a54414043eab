#include "image/codec.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string_view>

#include "image/box.h"
#include "image/formats.h"

namespace vista {
namespace {

bool StartsWith(std::span<const std::uint8_t> bytes, std::size_t at, std::string_view signature) {
  return bytes.size() >= at + signature.size() &&
         std::memcmp(bytes.data() + at, signature.data(), signature.size()) == 0;
}

std::string FirstBytes(std::span<const std::uint8_t> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes.first(std::min<std::size_t>(bytes.size(), 8))) {
    if (!text.empty()) text += ' ';
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Result<Decoded> DecodeStored(std::span<const std::uint8_t> encoded, const DecodeOptions& options) {
  using namespace std::string_view_literals;
  if (encoded.empty())
    return Status::InvalidArgument("the image has 0 bytes; give an encoded JPEG, PNG or WebP");
  if (StartsWith(encoded, 0, "\xff\xd8\xff"sv)) return DecodeJpeg(encoded, options);
  if (StartsWith(encoded, 0, "\x89PNG\r\n\x1a\n"sv)) return DecodePng(encoded, options.pixel_limit);
  if (StartsWith(encoded, 0, "RIFF"sv) && StartsWith(encoded, 8, "WEBP"sv))
    return DecodeWebp(encoded, options.pixel_limit);
  return Status::InvalidArgument(std::to_string(encoded.size()) + " bytes that begin with " +
                                 FirstBytes(encoded) +
                                 " are no JPEG, PNG or WebP; give one of these formats");
}

Result<Image::Ref> DecodeToImage(std::span<const std::uint8_t> encoded,
                                 const DecodeOptions& options) {
  Result<Decoded> stored = DecodeStored(encoded, options);
  if (!stored.ok()) return stored.status();
  auto& [pixels, orientation, is_region] = stored.value();
  if (orientation != Orientation::kNone) {
    Result<Pixels> upright = Orient(pixels.view(), orientation);
    if (!upright.ok()) return upright.status();
    pixels = std::move(upright).value();
  }
  if (options.region && !is_region) {
    const Result<Box> box = ResolveBox(*options.region, pixels.size());
    if (!box.ok()) return box.status();
    Result<Pixels> part = Copy(Region(pixels.view(), box.value()));
    if (!part.ok()) return part.status();
    pixels = std::move(part).value();
  }
  if (options.hash) return Image::Create(std::move(pixels), *options.hash);
  if (options.region || options.at_least) return Image::Create(std::move(pixels));
  return Image::Create(std::move(pixels), encoded);
}

}  // namespace

void FlattenOverWhite(const std::uint8_t* from, std::size_t pixels, std::uint8_t* to) {
  for (std::size_t i = 0; i < pixels; ++i, from += 4, to += 3) {
    const std::uint32_t alpha = from[3];
    for (int c = 0; c < 3; ++c) {
      // The nearest whole number to (colour * alpha + white * (255 - alpha)) / 255.
      const std::uint32_t sum = from[c] * alpha + 255 * (255 - alpha) + 128;
      to[c] = static_cast<std::uint8_t>((sum + (sum >> 8)) >> 8);
    }
  }
}

Status NoMemoryToDecode(const char* what, std::size_t bytes) {
  return Status::ResourceExhausted("no memory to decode " + std::string(what) + " of " +
                                   std::to_string(bytes) +
                                   " bytes; give a smaller picture, or fewer at a time");
}

Status NoMemoryToEncode(Size size) {
  return Status::ResourceExhausted("no memory to encode an image of " + std::to_string(size.width) +
                                   " x " + std::to_string(size.height) +
                                   " pixels; make it smaller, or encode fewer at a time");
}

Result<Image::Ref> Decode(std::span<const std::uint8_t> encoded, const DecodeOptions& options) {
  try {
    return DecodeToImage(encoded, options);
  } catch (const std::bad_alloc&) {
    return NoMemoryToDecode("the image", encoded.size());
  }
}

}  // namespace vista
