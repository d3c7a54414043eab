#include "image/exif.h"

#include <cstring>

namespace vista {
namespace {

constexpr std::uint32_t kOrientationTag = 0x0112;
constexpr std::uint32_t kShort = 3;
constexpr std::uint32_t kLong = 4;
constexpr std::size_t kEntrySize = 12;

// Numbers of either byte order; reading past the end gives 0, which no caller takes for a valid
// entry.
class TiffReader {
 public:
  TiffReader(std::span<const std::uint8_t> bytes, bool little) : bytes_(bytes), little_(little) {}

  [[nodiscard]] std::uint32_t Number(std::size_t at, std::size_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) return 0;
    std::uint32_t number = 0;
    for (std::size_t i = 0; i < size; ++i)
      number = (number << 8) | bytes_[at + (little_ ? size - 1 - i : i)];
    return number;
  }

 private:
  std::span<const std::uint8_t> bytes_;
  bool little_;
};

}  // namespace

Orientation ExifOrientation(std::span<const std::uint8_t> exif) {
  if (exif.size() >= 6 && std::memcmp(exif.data(), "Exif\0\0", 6) == 0) exif = exif.subspan(6);
  if (exif.size() < 8) return Orientation::kNone;
  const bool little = std::memcmp(exif.data(), "II*\0", 4) == 0;
  if (!little && std::memcmp(exif.data(), "MM\0*", 4) != 0) return Orientation::kNone;
  const TiffReader tiff(exif, little);
  const std::size_t directory = tiff.Number(4, 4);
  const std::size_t entries = tiff.Number(directory, 2);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::size_t entry = directory + 2 + i * kEntrySize;
    if (tiff.Number(entry, 2) != kOrientationTag) continue;
    const std::uint32_t type = tiff.Number(entry + 2, 2);
    if ((type != kShort && type != kLong) || tiff.Number(entry + 4, 4) != 1) break;
    const std::uint32_t value = tiff.Number(entry + 8, type == kShort ? 2 : 4);
    if (value >= 1 && value <= 8) return static_cast<Orientation>(value);
    break;
  }
  return Orientation::kNone;
}

}  // namespace vista
