// The last phases of a block of threads: its tile, normalised, goes to the output. See
// crop_resize_tile.h.
#pragma once

#include <cstdint>

#include "cuda/crop_resize.h"
#include "cuda/crop_resize_block.h"

namespace vista::cuda {

// Where outputs go and what they become.
struct Target {
  Layout layout;
  int patch, merge, temporal;
  float scale[3];
  float shift[3];
};

// The patch that holds output (y, x).
VISTA_DEVICE std::int64_t PatchOf(const Target& target, const PlannedRow& row, int y, int x) {
  const int patch_y = y / target.patch;
  const int patch_x = x / target.patch;
  const std::int64_t group =
      static_cast<std::int64_t>(patch_y / target.merge) * (row.patches_across / target.merge) +
      patch_x / target.merge;
  return row.first_patch + (group * target.merge + patch_y % target.merge) * target.merge +
         patch_x % target.merge;
}

VISTA_DEVICE float Normalised(float level, int channel, const Arithmetic& arithmetic,
                              const Target& target) {
  level = arithmetic.rounded ? WholeLevel(level) : Clamped(level);
  return level * target.scale[channel] + target.shift[channel];
}

// Phase 4, for a kPatch that is not 0: normalised, in the order of the memory.
template <int kPatch>
VISTA_DEVICE void StageTile(const Tile& tile, const PlannedRow& row, const Arithmetic& arithmetic,
                            const Target& target, int thread, const Sums& sums, Shared* shared) {
  constexpr int kAlongFirst = TileFirst<kPatch>() / kPatch;
  static_assert(TileLast<kPatch>() == 2 * kPatch);
  const int j = thread % kTileFirst;
  if (j >= tile.first_count) return;
  const int patch = j / kPatch;
  const int first = j - patch * kPatch;
  const int step_last = row.turned ? 1 : kPatch;
  const int step_first = row.turned ? kPatch : 1;
  float* const staged = &shared->staged[patch * 3 * kPatch * kPatch + first * step_first];
  VISTA_UNROLL
  for (int round = 0; round < kRounds; ++round) {
    VISTA_UNROLL
    for (int k = 0; k < kFour; ++k) {
      const int i = (round * kGroups + thread / kTileFirst) * kFour + k;
      if (i >= tile.last_count) return;
      float* const to = i < kPatch
                            ? staged + i * step_last
                            : staged + kAlongFirst * 3 * kPatch * kPatch + (i - kPatch) * step_last;
      VISTA_UNROLL
      for (int c = 0; c < 3; ++c)
        to[c * kPatch * kPatch] = Normalised(sums.of[round][k].of[c], c, arithmetic, target);
    }
  }
}

// Phase 5: the staged patches, a channel of one by a warp, written as many times as there are
// moments. `store(index, values)` writes four numbers of the output.
template <int kPatch, typename Store>
VISTA_DEVICE void CopyPatches(const Target& target, int thread, const Shared& shared, Store store) {
  constexpr int kArea = kPatch * kPatch;
  constexpr int kPlanes = 3 * TileLast<kPatch>() * TileFirst<kPatch>() / kArea;
  static_assert(kArea % kFour == 0);
  for (int plane = thread / kWarp; plane < kPlanes; plane += kWarps) {
    const std::int64_t patch_at = shared.patch_at[plane / 3];
    if (patch_at < 0) continue;
    const std::int64_t begin = patch_at + plane % 3 * target.temporal * kArea;
    for (int n = thread % kWarp * kFour; n < kArea; n += kWarp * kFour) {
      const Four values = *reinterpret_cast<const Four*>(&shared.staged[plane * kArea + n]);
      if (target.temporal == 2) {  // every model's so far: two writes from one address
        store(begin + n, values);
        store(begin + n + kArea, values);
      } else {
        for (int t = 0; t < target.temporal; ++t) store(begin + t * kArea + n, values);
      }
    }
  }
}

// Phase 4 where nothing is staged: normalised and written. `store(index, value)` writes one number.
template <typename Store>
VISTA_DEVICE void WriteTile(const Tile& tile, const PlannedRow& row, const Arithmetic& arithmetic,
                            const Target& target, std::int64_t row_number, int thread,
                            const Sums& sums, Store store) {
  const int j = thread % kTileFirst;
  if (j >= tile.first_count) return;
  const int width = row.turned ? row.last.size : row.first.size;
  const std::int64_t plane = static_cast<std::int64_t>(row.last.size) * row.first.size;
  VISTA_UNROLL
  for (int n = 0; n < kRounds * kFour; ++n) {
    const int i = (n / kFour * kGroups + thread / kTileFirst) * kFour + n % kFour;
    if (i >= tile.last_count) return;
    const int y = row.turned ? tile.first_begin + j : tile.last_begin + i;
    const int x = row.turned ? tile.last_begin + i : tile.first_begin + j;
    VISTA_UNROLL
    for (int c = 0; c < 3; ++c) {
      const float value = Normalised(sums.of[n / kFour][n % kFour].of[c], c, arithmetic, target);
      if (target.layout == Layout::kPlanes) {
        store((row_number * 3 + c) * plane + static_cast<std::int64_t>(y) * width + x, value);
        continue;
      }
      const std::int64_t area = static_cast<std::int64_t>(target.patch) * target.patch;
      const std::int64_t index = (PatchOf(target, row, y, x) * 3 + c) * target.temporal * area +
                                 y % target.patch * target.patch + x % target.patch;
      for (int t = 0; t < target.temporal; ++t) store(index + t * area, value);
    }
  }
}

}  // namespace vista::cuda
