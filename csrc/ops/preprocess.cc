// image.preprocess(image, box=None, processor="qwen_vl", ...): the input of a vision encoder,
// straight from a box of the image, in float32.
//
// "qwen_vl" (Qwen2-VL, Qwen2.5-VL; Qwen3-VL by its patch_size, mean and std): patch_size=14,
// merge_size=2, temporal_patch_size=2, min_pixels=3136, max_pixels=1003520, mean and std=CLIP's.
// Gives
// {"pixel_values": [h * w, 3 * temporal_patch_size * patch_size^2], "grid_thw": (1, h, w)}.
//
// "clip" and "llava": size=(224, 224) or (336, 336), shortest_edge=the longer of size,
// pad_to_square=False. "siglip": size=(224, 224), pad_to_square=False. "intern_vl": tiles of
// size=(448, 448), min_tiles=1, max_tiles=12. All with mean and std, by default their own. Give
// {"pixel_values": [n, 3, height, width], "grid": (columns, rows)}, where n is 1, or columns * rows
// tiles and the whole image behind them.
#include "image/preprocess.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/buffer.h"
#include "base/tensor.h"
#include "image/box.h"
#include "image/planes.h"
#include "ops/arguments.h"
#include "ops/image_op.h"
#include "ops/patch_arguments.h"

namespace vista::ops {
namespace {

constexpr const char* kName = "image.preprocess";

struct Patches : PatchArguments {
  static Result<Patches> Parse(Arguments* arguments, Size image) {
    Result<PatchArguments> parsed = PatchArguments::Parse(arguments, image);
    if (!parsed.ok()) return parsed.status();
    return Patches{std::move(parsed).value()};
  }

  [[nodiscard]] double megapixels() const { return 3 * Megapixels(layout.resized); }
  [[nodiscard]] std::vector<std::int64_t> shape() const {
    return {static_cast<std::int64_t>(layout.rows()), static_cast<std::int64_t>(layout.row)};
  }
  [[nodiscard]] Status Write(const PixelView& source, float* out) const {
    return WritePatches(source, options, layout, out);
  }
};

struct Planes {
  PlaneOptions options;
  PlaneLayout layout;

  static Result<Planes> Parse(Arguments* arguments, Size image, PlaneOptions options) {
    using Fit = PlaneOptions::Fit;
    options.size = arguments->GetSize("size", options.size);
    if (options.fit == Fit::kCentre) {
      const int longer = std::max(options.size.width, options.size.height);
      options.shortest_edge =
          static_cast<int>(arguments->Int("shortest_edge", longer, 1, kMaxSide));
    }
    if (options.fit == Fit::kTiles) {
      options.min_tiles =
          static_cast<int>(arguments->Int("min_tiles", options.min_tiles, 1, kMostTiles));
      options.max_tiles =
          static_cast<int>(arguments->Int("max_tiles", options.max_tiles, 1, kMostTiles));
    } else {
      options.pad_to_square = arguments->Bool("pad_to_square", options.pad_to_square);
    }
    options.mean = arguments->ThreeNumbers("mean", options.mean);
    options.std = arguments->ThreeNumbers("std", options.std);
    if (Status status = arguments->Finish(); !status.ok()) return status;
    const Result<PlaneLayout> layout = LayOutPlanes(image, options);
    if (!layout.ok()) return layout.status();
    return Planes{options, layout.value()};
  }

  [[nodiscard]] double megapixels() const { return 2 * layout.count * Megapixels(layout.size); }
  [[nodiscard]] std::vector<std::int64_t> shape() const {
    return {layout.count, 3, layout.size.height, layout.size.width};
  }
  [[nodiscard]] Status Write(const PixelView& source, float* out) const {
    return WritePlanes(source, options, layout, out);
  }
  [[nodiscard]] Value::Entry Grid() const {
    return {"grid", Value{Value::List{Value{std::int64_t{layout.grid.width}},
                                      Value{std::int64_t{layout.grid.height}}}}};
  }
};

constexpr Channels kClipMean = {0.48145466, 0.4578275, 0.40821073};
constexpr Channels kClipStd = {0.26862954, 0.26130258, 0.27577711};
constexpr Channels kHalf = {0.5, 0.5, 0.5};
constexpr Channels kImageNetMean = {0.485, 0.456, 0.406};
constexpr Channels kImageNetStd = {0.229, 0.224, 0.225};

PlaneOptions DefaultsOf(PlaneOptions::Fit fit, int side, const Channels& mean,
                        const Channels& std) {
  PlaneOptions options;
  options.fit = fit;
  options.size = {side, side};
  options.mean = mean;
  options.std = std;
  return options;
}

class Preprocess {
 public:
  static constexpr const char* kName = ops::kName;
  static constexpr const char* kVersion = "1";

  Image::Ref image;
  Box box;
  std::variant<Patches, Planes> encoder;

  static Result<Preprocess> Parse(const Value& call) {
    Arguments arguments(kName, call);
    Image::Ref image = arguments.GetImage();
    const Box box = arguments.GetBox("box", image->size());
    Result<std::variant<Patches, Planes>> encoder = ParseEncoder(&arguments, box.size());
    if (!encoder.ok()) {
      const Status& status = encoder.status();
      const bool named = status.message().starts_with(kName);
      return named ? status : Status(status.code(), std::string(kName) + ": " + status.message());
    }
    return Preprocess{std::move(image), box, std::move(encoder).value()};
  }

  static Result<std::variant<Patches, Planes>> ParseEncoder(Arguments* arguments, Size image) {
    using Fit = PlaneOptions::Fit;
    using Encoder = std::variant<Patches, Planes>;
    const auto planes = [&](const PlaneOptions& defaults) -> Result<Encoder> {
      Result<Planes> parsed = Planes::Parse(arguments, image, defaults);
      if (!parsed.ok()) return parsed.status();
      return Encoder(std::move(parsed).value());
    };
    switch (
        arguments->Choice("processor", {"qwen_vl", "clip", "siglip", "llava", "intern_vl"}, 0)) {
      case 1:
        return planes(DefaultsOf(Fit::kCentre, 224, kClipMean, kClipStd));
      case 2:
        return planes(DefaultsOf(Fit::kExact, 224, kHalf, kHalf));
      case 3:
        return planes(DefaultsOf(Fit::kCentre, 336, kClipMean, kClipStd));
      case 4:
        return planes(DefaultsOf(Fit::kTiles, 448, kImageNetMean, kImageNetStd));
      default: {
        Result<Patches> parsed = Patches::Parse(arguments, image);
        if (!parsed.ok()) return parsed.status();
        return Encoder(std::move(parsed).value());
      }
    }
  }

  [[nodiscard]] double megapixels() const {
    return Megapixels(box.size()) +
           std::visit([](const auto& each) { return each.megapixels(); }, encoder);
  }

  [[nodiscard]] Result<Value> Run() const {
    return std::visit([this](const auto& each) { return RunWith(each); }, encoder);
  }

 private:
  template <typename Encoder>
  [[nodiscard]] Result<Value> RunWith(const Encoder& each) const {
    const std::vector<std::int64_t> shape = each.shape();
    std::size_t bytes = sizeof(float);
    for (const std::int64_t side : shape) bytes *= static_cast<std::size_t>(side);
    const std::shared_ptr<std::uint8_t> memory = AllocateBuffer(bytes);
    if (memory == nullptr) {
      return Status::ResourceExhausted(std::string(kName) + ": no memory for " +
                                       std::to_string(bytes) + " bytes; make the result smaller");
    }
    auto* values = reinterpret_cast<float*>(memory.get());
    if (Status status = each.Write(Region(image->view(), box), values); !status.ok()) return status;
    ObjectRef tensor = std::make_shared<const Tensor>(DType::kFloat32, shape, values, memory);
    return Value{Value::Dict{each.Grid(), {"pixel_values", Value{std::move(tensor)}}}};
  }
};

}  // namespace

std::unique_ptr<exec::NativeOp> MakePreprocess() { return std::make_unique<ImageOp<Preprocess>>(); }

}  // namespace vista::ops
