// image.rotate(image, angle, filter="bicubic", expand=True, fill=[0, 0, 0]): turns counterclockwise
// by `angle` degrees about the centre.
#include "image/rotate.h"

#include "ops/arguments.h"
#include "ops/image_op.h"

namespace vista::ops {
namespace {

struct RotateCall {
  static constexpr const char* kName = "image.rotate";
  static constexpr const char* kVersion = "1";

  Image::Ref image;
  double angle;
  RotateOptions options;

  static Result<RotateCall> Parse(const Value& call) {
    Arguments arguments(kName, call);
    Image::Ref image = arguments.GetImage();
    const double angle = arguments.Number("angle");
    RotateOptions options;
    options.filter = arguments.GetFilter({Filter::kNearest, Filter::kBilinear, Filter::kBicubic},
                                         options.filter);
    options.expand = arguments.Bool("expand", options.expand);
    options.fill = arguments.GetColor("fill", options.fill);
    if (Status status = arguments.Finish(); !status.ok()) return status;
    return RotateCall{std::move(image), angle, options};
  }

  [[nodiscard]] double megapixels() const { return 2 * Megapixels(image->size()); }

  [[nodiscard]] Result<Value> Run() const {
    return ToImageValue(Rotate(image->view(), angle, options));
  }
};

}  // namespace

std::unique_ptr<exec::NativeOp> MakeRotate() { return std::make_unique<ImageOp<RotateCall>>(); }

}  // namespace vista::ops
