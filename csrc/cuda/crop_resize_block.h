// What a block of threads has: its shared memory, and each thread's sums.
//
// Threads own columns: thread `t` works on output `t % kTileFirst` along the first axis, and its
// group, `t / kTileFirst`, on every kGroups-th line in the first pass and on every kGroups-th four
// neighbouring outputs in the second, which share the lines that they see.
#pragma once

#include <cstdint>

#include "cuda/crop_resize_filter.h"
#include "cuda/crop_resize_plan.h"

namespace vista::cuda {

inline constexpr int kThreads = 256;
inline constexpr int kWarp = 32;
inline constexpr int kWarps = kThreads / kWarp;
inline constexpr int kGroups = kThreads / kTileFirst;
inline constexpr int kFour = 4;  // outputs that share lines
inline constexpr int kRounds = kTileLast / (kFour * kGroups);
inline constexpr int kLines = 36;      // lines of the source that are in shared memory at once
inline constexpr int kSamples = 2176;  // of those lines, within the tile's reach
inline constexpr int kMostTaps = 16;   // per output along the first axis, to have weights kept
inline constexpr int kFewTaps = 8;     // as many may stay in registers
inline constexpr int kMostPatches = 8;
static_assert(kThreads % kTileFirst == 0 && kTileLast % (kFour * kGroups) == 0);
static_assert(kTileLast <= kLines, "a tile is staged where its lines were");

// Four numbers that are read and written as one.
struct alignas(16) Four {
  float of[kFour];
};

struct Shared {
  // The results of the first pass; then the tile's numbers, as they will lie in memory.
  union alignas(16) {
    float line[kLines][3][kTileFirst];
    float staged[3 * kTileLast * kTileFirst];
  };
  Sample sample[kSamples + kFewTaps];
  alignas(16) float last_weight[kLines][kTileLast];  // each output's sum to 1
  float first_weight[kMostTaps][kTileFirst];
  Reach first_reach[kTileFirst];
  Reach last_reach[kTileLast];
  float last_scale[kTileLast];          // 1 / the sum of an output's weights
  std::int64_t patch_at[kMostPatches];  // the first number of each patch of the tile, or -1
};

// A thread's outputs: its fours.
struct Sums {
  Levels of[kRounds][kFour];
};

VISTA_DEVICE Sums NoSums(const Arithmetic& arithmetic) {
  Sums sums;
  VISTA_UNROLL
  for (int n = 0; n < kRounds * kFour; ++n) sums.of[n / kFour][n % kFour] = NoLevels(arithmetic);
  return sums;
}

}  // namespace vista::cuda
