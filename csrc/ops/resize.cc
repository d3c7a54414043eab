// image.resize(image, size, filter="bicubic", source=None): resizes to (width, height), equal to
// Pillow's Image.resize(size, filter, box=source). `source` is the part to resize, in pixels that
// may have fractions; unlike a box it is not rounded, and filters look beyond its edges.
#include "image/resize.h"

#include "ops/arguments.h"
#include "ops/image_op.h"

namespace vista::ops {
namespace {

struct ResizeCall {
  static constexpr const char* kName = "image.resize";
  static constexpr const char* kVersion = "1";

  Image::Ref image;
  Size size;
  Filter filter;
  std::array<float, 4> source;

  static Result<ResizeCall> Parse(const Value& call) {
    Arguments arguments(kName, call);
    Image::Ref image = arguments.GetImage();
    const bool has_size = arguments.Has("size");
    const Size size = arguments.GetSize("size", image->size());
    const Filter filter = arguments.GetFilter(
        {Filter::kNearest, Filter::kBox, Filter::kBilinear, Filter::kBicubic, Filter::kLanczos},
        Filter::kBicubic);
    const std::array<double, 4> source = arguments.FourNumbers(
        "source",
        {0, 0, static_cast<double>(image->width()), static_cast<double>(image->height())});
    if (Status status = arguments.Finish(); !status.ok()) return status;
    if (!has_size) {
      return Status::InvalidArgument(std::string(kName) +
                                     ": size is missing; give (width, height) in pixels");
    }
    return ResizeCall{std::move(image),
                      size,
                      filter,
                      {static_cast<float>(source[0]), static_cast<float>(source[1]),
                       static_cast<float>(source[2]), static_cast<float>(source[3])}};
  }

  [[nodiscard]] double megapixels() const { return Megapixels(image->size()) + Megapixels(size); }

  [[nodiscard]] Result<Value> Run() const {
    return ToImageValue(Resize(image->view(), size, filter, source));
  }
};

}  // namespace

std::unique_ptr<exec::NativeOp> MakeResize() { return std::make_unique<ImageOp<ResizeCall>>(); }

}  // namespace vista::ops
