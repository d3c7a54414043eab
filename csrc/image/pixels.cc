#include "image/pixels.h"

#include <cstring>
#include <string>

namespace vista {

Status CheckSize(const char* what, std::int64_t width, std::int64_t height,
                 std::int64_t pixel_limit) {
  const std::string shape = std::to_string(width) + " x " + std::to_string(height);
  if (width < 1 || height < 1) {
    return Status::InvalidArgument(std::string(what) + " is " + shape +
                                   " pixels; both sides must be at least 1");
  }
  if (width > kMaxSide || height > kMaxSide) {
    return Status::ResourceExhausted(std::string(what) + " is " + shape +
                                     " pixels; a side may have at most " +
                                     std::to_string(kMaxSide));
  }
  if (width * height > pixel_limit) {
    return Status::ResourceExhausted(std::string(what) + " is " + shape + " = " +
                                     std::to_string(width * height) +
                                     " pixels, over the limit of " + std::to_string(pixel_limit) +
                                     "; make it smaller or raise the pixel limit");
  }
  return {};
}

Result<Pixels> Pixels::Allocate(Size size, std::int64_t pixel_limit) {
  if (Status status = CheckSize("the image", size.width, size.height, pixel_limit); !status.ok())
    return status;
  const std::size_t bytes =
      3 * static_cast<std::size_t>(size.width) * static_cast<std::size_t>(size.height);
  Buffer data = AllocateBuffer(bytes);
  if (data == nullptr) {
    return Status::ResourceExhausted("no memory for an image of " + std::to_string(size.width) +
                                     " x " + std::to_string(size.height) + " pixels (" +
                                     std::to_string(bytes) + " bytes); make it smaller");
  }
  return Pixels(size, std::move(data));
}

Result<Pixels> Copy(const PixelView& source) {
  Result<Pixels> copy = Pixels::Allocate(source.size);
  if (!copy.ok()) return copy;
  Pixels& pixels = copy.value();
  for (int y = 0; y < source.size.height; ++y)
    std::memcpy(pixels.row(y), source.row(y), pixels.stride());
  return copy;
}

}  // namespace vista
