// Image: immutable, shared RGB pixels with a cryptographic hash.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/value.h"
#include "image/pixels.h"

namespace vista {

// 128 bits of BLAKE2b.
struct ImageHash {
  std::array<std::uint8_t, 16> bytes{};

  [[nodiscard]] std::string Hex() const;
  // From 32 hexadecimal digits.
  static Result<ImageHash> FromHex(const std::string& hex);
  friend bool operator==(const ImageHash&, const ImageHash&) = default;
};

// The hash of an Image that is decoded from these bytes; of one that is a `part` of their picture,
// which says what was asked for.
ImageHash HashEncoded(std::span<const std::uint8_t> encoded, std::string_view part = {});

class Image final : public Object {
 public:
  using Ref = std::shared_ptr<const Image>;

  // An Image whose hash is that of its shape and pixels, computed when first asked for.
  static Ref Create(Pixels pixels);
  // An Image whose hash is known: that of the encoded bytes it was decoded from.
  static Ref Create(Pixels pixels, const ImageHash& hash);
  // An Image whose hash is that of these encoded bytes. It keeps them and hashes them when first
  // asked to: hashing takes a tenth of the time of decoding, and not every Image meets a cache.
  static Ref Create(Pixels pixels, std::span<const std::uint8_t> encoded);

  [[nodiscard]] Size size() const { return pixels_.size(); }
  [[nodiscard]] int width() const { return size().width; }
  [[nodiscard]] int height() const { return size().height; }
  [[nodiscard]] const std::uint8_t* data() const { return pixels_.data(); }
  [[nodiscard]] PixelView view() const { return pixels_.view(); }
  [[nodiscard]] const ImageHash& hash() const;

  Status AppendIdentity(std::string* out) const override;
  [[nodiscard]] std::size_t bytes() const override {
    return sizeof(Image) + pixels_.bytes() + encoded_.size();
  }

 private:
  Image(Pixels pixels, std::vector<std::uint8_t> encoded, std::optional<ImageHash> hash);

  const Pixels pixels_;
  const std::vector<std::uint8_t> encoded_;  // empty when the hash is known, or that of the pixels
  mutable std::once_flag hashed_;
  mutable std::optional<ImageHash> hash_;
};

}  // namespace vista
