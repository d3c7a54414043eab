// What Qwen2-VL and Qwen2.5-VL do to an image before their vision encoder, equal within 1e-5 to
// transformers' Pillow backend (Qwen2VLImageProcessorPil). Its torchvision backend resizes in other
// arithmetic: it differs from both by two steps of 1/255 in smooth pictures, by three in
// photographs and by up to 23 in noise.
#pragma once

#include <array>
#include <cstddef>

#include "base/status.h"
#include "image/normalise.h"
#include "image/pixels.h"

namespace vista {

inline constexpr int kMostPatch = 1024;
inline constexpr int kMostMerge = 64;
inline constexpr int kMostTemporal = 64;

// The three sizes are at least 1 and at most the limits above.
struct PreprocessOptions {
  int patch_size = 14;
  int merge_size = 2;
  int temporal_patch_size = 2;
  std::int64_t min_pixels = 56 * 56;
  std::int64_t max_pixels = 28 * 28 * 1280;
  Channels mean = {0.48145466, 0.4578275, 0.40821073};
  Channels std = {0.26862954, 0.26130258, 0.27577711};
};

// The size nearest to an image's whose sides are multiples of `factor`, whose aspect ratio is kept
// as well as can be and whose pixels lie between the limits. An aspect ratio above 200 is an error.
Result<Size> SmartResize(Size image, int factor, std::int64_t min_pixels, std::int64_t max_pixels);

// What one image becomes: a matrix of grid_height * grid_width patches, `row` numbers each.
struct PatchLayout {
  Size resized;
  int grid_height;
  int grid_width;
  std::size_t row;

  [[nodiscard]] std::size_t rows() const {
    return static_cast<std::size_t>(grid_height) * static_cast<std::size_t>(grid_width);
  }
};

// Checks the options and lays out the patches of an image of that size.
Result<PatchLayout> LayOutPatches(Size image, const PreprocessOptions& options);

// Resizes (bicubic), scales to 0..1, normalises and writes layout.rows() x layout.row floats.
// Patches that the model merges lie together: (grid rows / merge, grid columns / merge, merge,
// merge), each (channel, time, y, x); the still image is repeated temporal_patch_size times.
Status WritePatches(const PixelView& source, const PreprocessOptions& options,
                    const PatchLayout& layout, float* out);

}  // namespace vista
