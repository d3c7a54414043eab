#include "cuda/crop_resize_plan.h"

#include <algorithm>
#include <string>

#include "cuda/crop_resize_write.h"

namespace vista::cuda {
namespace {

constexpr int kMostRows = 65535;  // of a batch: more is taken for a mistake

Status Check(const CropResizeBatch& batch) {
  if (batch.row_count < 0 || batch.row_count > kMostRows) {
    return Status::InvalidArgument("a batch has " + std::to_string(batch.row_count) +
                                   " rows; launch from 0 to " + std::to_string(kMostRows));
  }
  if (batch.patch_size < 1 || batch.merge_size < 1 || batch.temporal_patch_size < 1) {
    return Status::InvalidArgument(
        "patch_size, merge_size and temporal_patch_size are " + std::to_string(batch.patch_size) +
        ", " + std::to_string(batch.merge_size) + " and " +
        std::to_string(batch.temporal_patch_size) + "; give numbers of at least 1");
  }
  return {};
}

Status CheckRow(const CropResizeBatch& batch, int n) {
  const auto [left, top, right, bottom] = batch.boxes[n];
  const auto [height, width] = batch.sizes[n];
  const auto [low, high] = std::minmax({right - left, bottom - top, width, height});
  if (low >= 1 && high < kMostProduct &&
      std::max(right - left, bottom - top) * std::max(width, height) < kMostProduct) {
    const std::int64_t whole = std::int64_t{batch.patch_size} * batch.merge_size;
    if (batch.layout == Layout::kPlanes || (height % whole == 0 && width % whole == 0)) return {};
    return Status::InvalidArgument("row " + std::to_string(n) + " becomes " +
                                   std::to_string(width) + " x " + std::to_string(height) +
                                   " pixels; both sides must be multiples of " +
                                   std::to_string(whole) + " (patch_size * merge_size)");
  }
  return Status::InvalidArgument(
      "row " + std::to_string(n) + " resizes " + std::to_string(right - left) + " x " +
      std::to_string(bottom - top) + " pixels to " + std::to_string(width) + " x " +
      std::to_string(height) + "; sides must be at least 1 and their products under 2^28");
}

}  // namespace

std::size_t PlannedRowBytes() { return sizeof(PlannedRow); }

Status PlanCropResize(const CropResizeBatch& batch, void* plan) {
  if (Status status = Check(batch); !status.ok()) return status;
  const Arithmetic arithmetic = {batch.bicubic, batch.rounded};
  return WithPatch(batch, [&](auto patch) {
    auto* const planned = static_cast<PlannedRow*>(plan);
    std::int64_t number = 0;
    for (int n = 0; n < batch.row_count; ++n) {
      if (Status status = CheckRow(batch, n); !status.ok()) return status;
      const std::int64_t image = batch.row_images[n];
      const CropRow row = RowOf(batch.image_offsets[image], batch.image_pitches[image],
                                batch.boxes[n], batch.sizes[n], batch.rounded);
      const auto [height, width] = batch.sizes[n];
      if (batch.row_outputs != nullptr) {
        number = batch.row_outputs[n];
        if (patch() != 0 && number % kFour != 0) {
          return Status::InvalidArgument("the output of row " + std::to_string(n) +
                                         " begins at number " + std::to_string(number) +
                                         "; begin at a multiple of " + std::to_string(kFour));
        }
      }
      const bool in_patches = batch.layout == Layout::kPatches;
      const int across = in_patches ? static_cast<int>(width / batch.patch_size) : 0;
      planned[n] = PlanRow<patch()>(row, arithmetic, number, across);
      number += 3 * height * width * (in_patches ? batch.temporal_patch_size : 1);
    }
    return Status();
  });
}

}  // namespace vista::cuda
