// image.zoom(image, box=None, size=None, filter="bicubic"): crops to the box, then resizes to
// (width, height); what lies outside the box has no influence. Without box the whole image, without
// size the size of the box.
#include "image/box.h"
#include "image/resize.h"
#include "ops/arguments.h"
#include "ops/image_op.h"

namespace vista::ops {
namespace {

struct Zoom {
  static constexpr const char* kName = "image.zoom";
  static constexpr const char* kVersion = "1";

  Image::Ref image;
  Box box;
  Size size;
  Filter filter;

  static Result<Zoom> Parse(const Value& call) {
    Arguments arguments(kName, call);
    Image::Ref image = arguments.GetImage();
    const Box box = arguments.GetBox("box", image->size());
    const Size size = arguments.GetSize("size", box.size());
    const Filter filter = arguments.GetFilter(
        {Filter::kNearest, Filter::kBox, Filter::kBilinear, Filter::kBicubic, Filter::kLanczos},
        Filter::kBicubic);
    if (Status status = arguments.Finish(); !status.ok()) return status;
    return Zoom{std::move(image), box, size, filter};
  }

  [[nodiscard]] double megapixels() const { return Megapixels(box.size()) + Megapixels(size); }

  [[nodiscard]] Result<Value> Run() const {
    return ToImageValue(Resize(Region(image->view(), box), size, filter));
  }
};

}  // namespace

std::unique_ptr<exec::NativeOp> MakeZoom() { return std::make_unique<ImageOp<Zoom>>(); }

}  // namespace vista::ops
