#include "ops/patch_arguments.h"

namespace vista::ops {

Result<PatchArguments> PatchArguments::Parse(Arguments* arguments, Size image) {
  PreprocessOptions options;
  const auto number = [&](const char* name, int fallback, int most) {
    return static_cast<int>(arguments->Int(name, fallback, 1, most));
  };
  options.patch_size = number("patch_size", options.patch_size, kMostPatch);
  options.merge_size = number("merge_size", options.merge_size, kMostMerge);
  options.temporal_patch_size =
      number("temporal_patch_size", options.temporal_patch_size, kMostTemporal);
  options.min_pixels = arguments->Int("min_pixels", options.min_pixels, 1, kDefaultPixelLimit);
  options.max_pixels = arguments->Int("max_pixels", options.max_pixels, 1, kDefaultPixelLimit);
  options.mean = arguments->ThreeNumbers("mean", options.mean);
  options.std = arguments->ThreeNumbers("std", options.std);
  if (Status status = arguments->Finish(); !status.ok()) return status;
  const Result<PatchLayout> layout = LayOutPatches(image, options);
  if (!layout.ok()) return layout.status();
  return PatchArguments{options, layout.value()};
}

Value::Entry PatchArguments::Grid() const {
  return {"grid_thw",
          Value{Value::List{Value{std::int64_t{1}}, Value{std::int64_t{layout.grid_height}},
                            Value{std::int64_t{layout.grid_width}}}}};
}

}  // namespace vista::ops
