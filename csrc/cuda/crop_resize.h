// Regions of images in device memory, cropped, resized with antialiasing, normalised and, if asked
// for, cut into Qwen-VL's patches: all rows of a ragged batch in one launch, on a stream of the
// caller. The definition of the result is kernels/reference.py; CropPatchify there describes the
// layout of patches.
//
// Built with -DVISTA_CUDA=ON. Where there was no GPU to run it, its phases were run on the CPU
// (tests/cpp/cuda) and it was compiled for sm_80, sm_90 and sm_100; scripts/gpu_check.sh runs it.
#pragma once

#include <array>
#include <cstdint>

#include "base/status.h"

namespace vista::cuda {

enum class Layout : int { kPlanes = 0, kPatches = 1 };
enum class Float : int { kFloat32 = 0, kFloat16 = 1, kBfloat16 = 2 };

// One row of a batch. "last" is the axis that is resized last, in whole: y, or x if the row is
// turned, which is how Pillow 13 orders its passes for some shapes and shows only in rounded
// results.
struct CropRow {
  std::int64_t first_byte;  // of the crop, from the batch's pixels
  std::int64_t last_step, last_length, last_size;
  std::int64_t first_step, first_length, first_size;  // steps in bytes; 3 along x
  std::int64_t turned;
  std::int64_t first_patch;     // kPatches: where the row's patches begin
  std::int64_t patches_across;  // kPatches
};

struct CropResizeBatch {
  const std::uint8_t* pixels = nullptr;  // on the device
  const CropRow* rows = nullptr;         // on the host: checked and measured
  const CropRow* device_rows = nullptr;  // the same on the device
  int row_count = 0;                     // at most 65,535
  Layout layout = Layout::kPlanes;       // [rows, 3, height, width], or [patches, numbers]
  int patch_size = 14;                   // kPatches, as are the next two
  int merge_size = 2;
  int temporal_patch_size = 2;
  bool bicubic = true;                     // else bilinear
  bool rounded = false;                    // each pass ends at whole grey levels, as Pillow's do
  std::array<float, 3> scale = {1, 1, 1};  // value * scale + shift, per channel
  std::array<float, 3> shift = {0, 0, 0};
  Float type = Float::kFloat32;
  void* out = nullptr;  // on the device; of `type`
};

// Enqueues the work on `stream` (a cudaStream_t) and returns. The buffers must live until it has
// run. Errors: kInvalidArgument for a batch that makes no sense, kInternal for CUDA's own.
Status LaunchCropResize(const CropResizeBatch& batch, void* stream);

}  // namespace vista::cuda
