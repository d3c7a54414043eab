#include "image/image.h"

#include <string_view>

#include "image/blake2b.h"
#include "image/blake2b_tree.h"

namespace vista {
namespace {

// The heads of the trees keep what is hashed in domains of its own, so that no file can be made
// whose hash is that of pixels, or of a part of another.
constexpr std::string_view kPixelsHead = "vista RGB pixels";
constexpr std::string_view kEncodedHead = "vista encoded bytes:";
constexpr std::string_view kPartHead = "vista part ";

ImageHash HashPixels(const Pixels& pixels) {
  const std::string head = std::string(kPixelsHead) + std::to_string(pixels.size().height) + "x" +
                           std::to_string(pixels.size().width) + ":";
  return {TreeHash(head, {pixels.data(), pixels.bytes()})};
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

std::string ImageHash::Hex() const {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    hex += kDigits[byte >> 4];
    hex += kDigits[byte & 15];
  }
  return hex;
}

Result<ImageHash> ImageHash::FromHex(const std::string& hex) {
  ImageHash hash;
  bool valid = hex.size() == 2 * hash.bytes.size();
  for (std::size_t i = 0; valid && i < hash.bytes.size(); ++i) {
    const int high = HexDigit(hex[2 * i]);
    const int low = HexDigit(hex[2 * i + 1]);
    valid = high >= 0 && low >= 0;
    hash.bytes[i] = static_cast<std::uint8_t>((high << 4) | low);
  }
  if (!valid) {
    return Status::InvalidArgument(std::string("'") + hex.substr(0, 64) +
                                   "' is no image hash; give 32 lower-case hexadecimal digits");
  }
  return hash;
}

ImageHash HashEncoded(std::span<const std::uint8_t> encoded, std::string_view part) {
  if (part.empty()) return {TreeHash(kEncodedHead, encoded)};
  return {TreeHash(std::string(kPartHead).append(part).append(":"), encoded)};
}

Image::Image(Pixels pixels, std::vector<std::uint8_t> encoded, std::optional<ImageHash> hash)
    : pixels_(std::move(pixels)), encoded_(std::move(encoded)), hash_(hash) {}

Image::Ref Image::Create(Pixels pixels) {
  return Ref(new Image(std::move(pixels), {}, std::nullopt));
}

Image::Ref Image::Create(Pixels pixels, const ImageHash& hash) {
  return Ref(new Image(std::move(pixels), {}, hash));
}

Image::Ref Image::Create(Pixels pixels, std::span<const std::uint8_t> encoded) {
  return Ref(new Image(std::move(pixels), {encoded.begin(), encoded.end()}, std::nullopt));
}

const ImageHash& Image::hash() const {
  std::call_once(hashed_, [this] {
    if (!hash_) hash_ = encoded_.empty() ? HashPixels(pixels_) : HashEncoded(encoded_);
  });
  return *hash_;
}

Status Image::AppendIdentity(std::string* out) const {
  out->append("image:");
  out->append(reinterpret_cast<const char*>(hash().bytes.data()), hash().bytes.size());
  return {};
}

}  // namespace vista
