// image.draw_boxes(image, boxes, color=[255, 0, 0], width=2): outlines, `width` pixels thick,
// inside the edges of each box; one colour for all boxes or one for each.
#include "image/draw.h"
#include "ops/arguments.h"
#include "ops/image_op.h"

namespace vista::ops {
namespace {

constexpr Color kRed = {255, 0, 0};

struct DrawBoxesCall {
  static constexpr const char* kName = "image.draw_boxes";
  static constexpr const char* kVersion = "1";

  Image::Ref image;
  std::vector<Outline> outlines;

  static Result<DrawBoxesCall> Parse(const Value& call) {
    Arguments arguments(kName, call);
    Image::Ref image = arguments.GetImage();
    const std::vector<Box> boxes = arguments.Boxes("boxes", image->size());
    const std::vector<Color> colors = arguments.Colors("color", boxes.size(), kRed);
    const auto width = static_cast<int>(arguments.Int("width", 2, 1, kMaxSide));
    if (Status status = arguments.Finish(); !status.ok()) return status;
    std::vector<Outline> outlines;
    for (std::size_t i = 0; i < boxes.size(); ++i) outlines.push_back({boxes[i], colors[i], width});
    return DrawBoxesCall{std::move(image), std::move(outlines)};
  }

  [[nodiscard]] double megapixels() const { return 2 * Megapixels(image->size()); }

  [[nodiscard]] Result<Value> Run() const {
    return ToImageValue(DrawBoxes(image->view(), outlines));
  }
};

}  // namespace

std::unique_ptr<exec::NativeOp> MakeDrawBoxes() {
  return std::make_unique<ImageOp<DrawBoxesCall>>();
}

}  // namespace vista::ops
