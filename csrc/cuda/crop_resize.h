// Regions of images in device memory, cropped, resized with antialiasing, normalised and, if asked
// for, cut into Qwen-VL's patches: up to 256 rows of a ragged batch in one launch, on a stream of
// the caller. The definition of the result is kernels/reference.py; CropPatchify there describes
// the layout of patches.
//
// Built with -DVISTA_CUDA=ON, for sm_80, sm_90 and sm_100 unless told otherwise. Its phases are
// tested on the CPU (tests/cpp/cuda), and the kernel on a GPU by scripts/gpu_check.sh.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/status.h"

namespace vista::cuda {

enum class Layout : int { kPlanes = 0, kPatches = 1 };
enum class Float : int { kFloat32 = 0, kFloat16 = 1, kBfloat16 = 2 };

struct CropResizeBatch {
  const std::uint8_t* pixels = nullptr;         // on the device; what else is read lies on the host
  const std::int64_t* image_offsets = nullptr;  // [images], bytes from `pixels`
  const std::int32_t* image_pitches = nullptr;  // [images], bytes from one line to the next
  const std::int64_t* row_images = nullptr;     // [rows]
  const std::int64_t (*boxes)[4] = nullptr;     // [rows]: left, top, right, bottom
  const std::int64_t (*sizes)[2] = nullptr;     // [rows]: height, width
  const std::int64_t* row_outputs = nullptr;    // [rows], numbers from `out`; null: no gaps
  const void* plan = nullptr;                   // of PlanCropResize
  int row_count = 0;                            // at most 65,535
  Layout layout = Layout::kPlanes;              // [rows, 3, height, width], or [patches, numbers]
  int patch_size = 14;                          // kPatches, as are the next two
  int merge_size = 2;
  int temporal_patch_size = 2;
  bool bicubic = true;                     // else bilinear
  bool rounded = false;                    // each pass ends at whole grey levels, as Pillow's do
  std::array<float, 3> scale = {1, 1, 1};  // value * scale + shift, per channel
  std::array<float, 3> shift = {0, 0, 0};
  Float type = Float::kFloat32;
  void* out = nullptr;  // on the device; of `type`, each row's patches aligned to four of it
};

// The longer side of a box times the longer one of its output stays below this.
inline constexpr std::int64_t kMostProduct = std::int64_t{1} << 28;

// Bytes of the plan of one row.
std::size_t PlannedRowBytes();

// Writes to `plan`, row_count * PlannedRowBytes() bytes aligned to 8, what the launch has to know
// of the rows; the batch's own plans and `out` are not used. Error: kInvalidArgument for a batch
// that makes no sense; that boxes lie in their images is the caller's to see to.
Status PlanCropResize(const CropResizeBatch& batch, void* plan);

// Enqueues the work on `stream` (a cudaStream_t) and returns; errors that earlier calls of CUDA
// have left are forgotten. What lies on the device must live until it has run. Errors:
// kInvalidArgument for an `out` that is not aligned, kInternal for CUDA's own.
Status LaunchCropResize(const CropResizeBatch& batch, void* stream);

}  // namespace vista::cuda
