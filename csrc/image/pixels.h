// Pixels: an owned buffer of 8-bit RGB. PixelView: a look at one, or at a rectangle of one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/buffer.h"
#include "base/status.h"

namespace vista {

// The pixels that one image may have unless the caller says otherwise: Pillow's limit against
// decompression bombs.
inline constexpr std::int64_t kDefaultPixelLimit = 178'956'970;
// The longest side; keeps the weight tables of a resize small.
inline constexpr int kMaxSide = 1 << 20;

struct Size {
  int width = 0;
  int height = 0;
  friend bool operator==(const Size&, const Size&) = default;
};

// Checks a size before anything is allocated for it. `what` names it in the message ("the PNG",
// "size").
Status CheckSize(const char* what, std::int64_t width, std::int64_t height,
                 std::int64_t pixel_limit = kDefaultPixelLimit);

// Rows of `size.width` RGB pixels, `stride` bytes apart. Does not own the bytes.
struct PixelView {
  const std::uint8_t* data = nullptr;
  Size size;
  std::ptrdiff_t stride = 0;

  [[nodiscard]] const std::uint8_t* row(int y) const { return data + y * stride; }
};

// A buffer [height, width, 3] without gaps between its rows.
class Pixels {
 public:
  // Uninitialised memory for an image of that size, which is checked first.
  static Result<Pixels> Allocate(Size size, std::int64_t pixel_limit = kDefaultPixelLimit);

  [[nodiscard]] Size size() const { return size_; }
  [[nodiscard]] std::size_t bytes() const {
    return stride() * static_cast<std::size_t>(size_.height);
  }
  [[nodiscard]] std::size_t stride() const { return 3 * static_cast<std::size_t>(size_.width); }
  [[nodiscard]] const std::uint8_t* data() const { return data_.get(); }
  [[nodiscard]] std::uint8_t* data() { return data_.get(); }
  [[nodiscard]] std::uint8_t* row(int y) {
    return data_.get() + stride() * static_cast<std::size_t>(y);
  }
  [[nodiscard]] PixelView view() const {
    return {data_.get(), size_, static_cast<std::ptrdiff_t>(stride())};
  }

 private:
  Pixels(Size size, Buffer data) : size_(size), data_(std::move(data)) {}

  Size size_;
  Buffer data_;
};

// A copy of the viewed pixels.
Result<Pixels> Copy(const PixelView& source);

}  // namespace vista
