// image.preprocess(image, box=None, patch_size=14, merge_size=2, temporal_patch_size=2,
// min_pixels=3136, max_pixels=1003520, mean=CLIP's, std=CLIP's): the input of a Qwen2-VL or
// Qwen2.5-VL vision encoder, straight from a box of the image. Gives {"pixel_values": float32 [h *
// w, 3 * temporal_patch_size * patch_size^2], "grid_thw": (1, h, w)}.
#include "image/preprocess.h"

#include "base/buffer.h"
#include "base/tensor.h"
#include "image/box.h"
#include "ops/arguments.h"
#include "ops/image_op.h"

namespace vista::ops {
namespace {

struct Preprocess {
  static constexpr const char* kName = "image.preprocess";
  static constexpr const char* kVersion = "1";

  Image::Ref image;
  Box box;
  PreprocessOptions options;
  PatchLayout layout;

  static Result<Preprocess> Parse(const Value& call) {
    Arguments arguments(kName, call);
    Image::Ref image = arguments.GetImage();
    const Box box = arguments.GetBox("box", image->size());
    PreprocessOptions options;
    options.patch_size = static_cast<int>(arguments.Int("patch_size", options.patch_size, 1, 1024));
    options.merge_size = static_cast<int>(arguments.Int("merge_size", options.merge_size, 1, 64));
    options.temporal_patch_size =
        static_cast<int>(arguments.Int("temporal_patch_size", options.temporal_patch_size, 1, 64));
    options.min_pixels = arguments.Int("min_pixels", options.min_pixels, 1, kDefaultPixelLimit);
    options.max_pixels = arguments.Int("max_pixels", options.max_pixels, 1, kDefaultPixelLimit);
    options.mean = arguments.ThreeNumbers("mean", options.mean);
    options.std = arguments.ThreeNumbers("std", options.std);
    if (Status status = arguments.Finish(); !status.ok()) return status;
    const Result<PatchLayout> layout = LayOutPatches(box.size(), options);
    if (!layout.ok())
      return Status(layout.status().code(), std::string(kName) + ": " + layout.status().message());
    return Preprocess{std::move(image), box, options, layout.value()};
  }

  [[nodiscard]] double megapixels() const {
    return Megapixels(box.size()) + 3 * Megapixels(layout.resized);
  }

  [[nodiscard]] Result<Value> Run() const {
    // Left uninitialised, because WritePatches writes every element.
    const std::size_t bytes = layout.rows() * layout.row * sizeof(float);
    const std::shared_ptr<std::uint8_t> memory = AllocateBuffer(bytes);
    if (memory == nullptr) {
      return Status::ResourceExhausted(std::string(kName) + ": no memory for " +
                                       std::to_string(bytes) + " bytes; lower max_pixels");
    }
    auto* values = reinterpret_cast<float*>(memory.get());
    if (Status status = WritePatches(Region(image->view(), box), options, layout, values);
        !status.ok()) {
      return status;
    }
    const std::vector<std::int64_t> shape = {static_cast<std::int64_t>(layout.rows()),
                                             static_cast<std::int64_t>(layout.row)};
    ObjectRef tensor = std::make_shared<const Tensor>(DType::kFloat32, shape, values, memory);
    const Value::List grid = {Value{std::int64_t{1}}, Value{std::int64_t{layout.grid_height}},
                              Value{std::int64_t{layout.grid_width}}};
    return Value{
        Value::Dict{{"grid_thw", Value{grid}}, {"pixel_values", Value{std::move(tensor)}}}};
  }
};

}  // namespace

std::unique_ptr<exec::NativeOp> MakePreprocess() { return std::make_unique<ImageOp<Preprocess>>(); }

}  // namespace vista::ops
