// What one block of threads does for one tile of the output, as phases with a barrier after each.
//
// A phase is a function of the thread's number and touches only the block's shared memory, the
// thread's own sums and global memory, so that the host can run a block by running each phase for
// all its threads in turn. That is how tests check this arithmetic without a GPU.
#pragma once

#include <cstdint>

#include "cuda/crop_resize.h"

#ifdef __CUDACC__
#define VISTA_DEVICE __host__ __device__ inline
#else
#define VISTA_DEVICE inline
#endif
#ifdef __CUDA_ARCH__
#define VISTA_UNROLL _Pragma("unroll")
#else
#define VISTA_UNROLL
#endif

namespace vista::cuda {

inline constexpr int kThreads = 256;
inline constexpr int kTileLast = 16;
inline constexpr int kTileFirst = 64;
inline constexpr int kLines = 16;     // lines of the source that are in shared memory at once
inline constexpr int kMostTaps = 24;  // per output along the first axis, to have weights kept
inline constexpr int kOwned = kTileLast * kTileFirst / kThreads;
static_assert(kTileLast * kTileFirst % kThreads == 0 && kLines <= kTileLast * 4);

// Which samples an output weighs.
struct Reach {
  int begin;
  int end;
};

struct Shared {
  float line[kLines][3][kTileFirst];
  float first_weight[kMostTaps][kTileFirst];
  float last_weight[kLines][kTileLast];
  float first_sum[kTileFirst];
  float last_sum[kTileLast];
  Reach first_reach[kTileFirst];
};

// A thread's outputs: number `thread + k * kThreads` of the tile, in three channels.
struct Sums {
  float value[kOwned][3];
};

struct Arithmetic {
  bool bicubic;
  bool rounded;
};

// One tile of one row, in the numbers that the loops need.
struct Tile {
  const std::uint8_t* corner;
  int last_step, last_length, last_size;
  int first_step, first_length, first_size;
  bool turned;
  int last_begin, first_begin;  // its first output along each axis
};

VISTA_DEVICE int Least(int a, int b) { return a < b ? a : b; }
VISTA_DEVICE int Most(int a, int b) { return a > b ? a : b; }

// The distances are exact in int: the product of a side and a size stays under 2^28.
VISTA_DEVICE Reach ReachOf(int output, int length, int size, const Arithmetic& arithmetic) {
  const int support = arithmetic.bicubic ? 2 : 1;
  const int centre = length * (2 * output + 1);
  const int radius = 2 * support * Most(length, size);
  return {Most(centre - radius, 0) / (2 * size), Least((centre + radius) / (2 * size) + 1, length)};
}

VISTA_DEVICE float WeightOf(int sample, int output, int length, int size,
                            const Arithmetic& arithmetic) {
  const int numerator = size * (2 * sample + 1) - length * (2 * output + 1);
  float x = static_cast<float>(numerator) / static_cast<float>(2 * Most(length, size));
  x = x < 0 ? -x : x;
  if (!arithmetic.bicubic) return x < 1 ? 1 - x : 0;
  if (x < 1) return (1.5f * x - 2.5f) * x * x + 1;
  return x < 2 ? ((-0.5f * x + 2.5f) * x - 4) * x + 2 : 0;
}

VISTA_DEVICE float Clamped(float level) { return level < 0 ? 0 : level > 255 ? 255 : level; }

VISTA_DEVICE float WholeLevel(float level) {
  const float clamped = Clamped(level + 0.5f);
  return static_cast<float>(static_cast<int>(clamped));
}

VISTA_DEVICE Tile TileOf(const std::uint8_t* pixels, const CropRow& row, int number) {
  Tile tile;
  tile.corner = pixels + row.first_byte;
  tile.last_step = static_cast<int>(row.last_step);
  tile.last_length = static_cast<int>(row.last_length);
  tile.last_size = static_cast<int>(row.last_size);
  tile.first_step = static_cast<int>(row.first_step);
  tile.first_length = static_cast<int>(row.first_length);
  tile.first_size = static_cast<int>(row.first_size);
  tile.turned = row.turned != 0;
  const int tiles_first = (tile.first_size + kTileFirst - 1) / kTileFirst;
  tile.last_begin = number / tiles_first * kTileLast;
  tile.first_begin = number % tiles_first * kTileFirst;
  return tile;
}

// A smaller output than the batch's largest has fewer tiles.
VISTA_DEVICE bool Exists(const Tile& tile) { return tile.last_begin < tile.last_size; }

// The lines that the tile can see.
VISTA_DEVICE Reach LinesOf(const Tile& tile, const Arithmetic& arithmetic) {
  const int end = Least(tile.last_begin + kTileLast, tile.last_size) - 1;
  return {ReachOf(tile.last_begin, tile.last_length, tile.last_size, arithmetic).begin,
          ReachOf(end, tile.last_length, tile.last_size, arithmetic).end};
}

// Phase 1: reaches and sums of weights, and the weights themselves where they are few.
VISTA_DEVICE void Prepare(const Tile& tile, const Arithmetic& arithmetic, int thread,
                          Shared* shared, Sums* sums) {
  VISTA_UNROLL
  for (int k = 0; k < kOwned; ++k) {
    for (int c = 0; c < 3; ++c) sums->value[k][c] = 0;
  }
  for (int j = thread; j < kTileFirst; j += kThreads) {
    const int output = Least(tile.first_begin + j, tile.first_size - 1);
    const Reach reach = ReachOf(output, tile.first_length, tile.first_size, arithmetic);
    float sum = 0;
    for (int x = reach.begin; x < reach.end; ++x) {
      const float weight = WeightOf(x, output, tile.first_length, tile.first_size, arithmetic);
      sum += weight;
      if (x - reach.begin < kMostTaps) shared->first_weight[x - reach.begin][j] = weight;
    }
    shared->first_reach[j] = reach;
    shared->first_sum[j] = sum;
  }
  // Other threads than those above, as long as there are others.
  for (int i = kThreads - 1 - thread; i < kTileLast; i += kThreads) {
    const int output = Least(tile.last_begin + i, tile.last_size - 1);
    const Reach reach = ReachOf(output, tile.last_length, tile.last_size, arithmetic);
    float sum = 0;
    for (int y = reach.begin; y < reach.end; ++y)
      sum += WeightOf(y, output, tile.last_length, tile.last_size, arithmetic);
    shared->last_sum[i] = sum;
  }
}

// Phase 2, for each chunk of kLines lines from `begin`: the first pass.
VISTA_DEVICE void ResizeLines(const Tile& tile, const Arithmetic& arithmetic, int begin, int end,
                              int thread, Shared* shared) {
  for (int number = thread; number < kLines * kTileFirst; number += kThreads) {
    const int line = number / kTileFirst;
    const int j = number % kTileFirst;
    if (begin + line >= end || tile.first_begin + j >= tile.first_size) continue;
    const Reach reach = shared->first_reach[j];
    const int output = tile.first_begin + j;
    const bool kept = reach.end - reach.begin <= kMostTaps;
    const std::uint8_t* from = tile.corner + (begin + line) * tile.last_step;
    float sum[3] = {0, 0, 0};
    for (int x = reach.begin; x < reach.end; ++x) {
      const float weight =
          kept ? shared->first_weight[x - reach.begin][j]
               : WeightOf(x, output, tile.first_length, tile.first_size, arithmetic);
      const std::uint8_t* sample = from + x * tile.first_step;
      for (int c = 0; c < 3; ++c) sum[c] += weight * static_cast<float>(sample[c]);
    }
    for (int c = 0; c < 3; ++c) {
      const float level = sum[c] / shared->first_sum[j];
      shared->line[line][c][j] = arithmetic.rounded ? WholeLevel(level) : level;
    }
  }
  for (int number = thread; number < kLines * kTileLast; number += kThreads) {
    const int line = number / kTileLast;
    const int i = number % kTileLast;
    const int output = tile.last_begin + i;
    shared->last_weight[line][i] =
        begin + line < end && output < tile.last_size
            ? WeightOf(begin + line, output, tile.last_length, tile.last_size, arithmetic)
            : 0;
  }
}

// Phase 3, for the same chunk: its share of the second pass.
VISTA_DEVICE void AddLines(const Tile& tile, int begin, int end, int thread, const Shared& shared,
                           Sums* sums) {
  const int lines = Least(end - begin, kLines);
  VISTA_UNROLL
  for (int k = 0; k < kOwned; ++k) {
    const int number = thread + k * kThreads;
    const int i = number / kTileFirst;
    const int j = number % kTileFirst;
    if (tile.first_begin + j >= tile.first_size) continue;
    for (int line = 0; line < lines; ++line) {
      const float weight = shared.last_weight[line][i];
      for (int c = 0; c < 3; ++c) sums->value[k][c] += weight * shared.line[line][c][j];
    }
  }
}

// Where outputs go and what they become.
struct Target {
  Layout layout;
  int patch, merge, temporal;
  float scale[3];
  float shift[3];
};

// The index in the patches of output (y, x), in channel 0 and at time 0.
VISTA_DEVICE std::int64_t PatchIndex(const Target& target, const CropRow& row, int y, int x) {
  const int patch_y = y / target.patch;
  const int patch_x = x / target.patch;
  const std::int64_t group =
      static_cast<std::int64_t>(patch_y / target.merge) * (row.patches_across / target.merge) +
      patch_x / target.merge;
  const std::int64_t patch = row.first_patch +
                             (group * target.merge + patch_y % target.merge) * target.merge +
                             patch_x % target.merge;
  const int within = y % target.patch * target.patch + x % target.patch;
  return patch * 3 * target.temporal * target.patch * target.patch + within;
}

// Phase 4: normalised and written. `store(index, value)` writes one number of the output.
template <typename Store>
VISTA_DEVICE void WriteTile(const Tile& tile, const Arithmetic& arithmetic, const Target& target,
                            const CropRow& row, std::int64_t row_number, int thread,
                            const Shared& shared, const Sums& sums, Store store) {
  VISTA_UNROLL
  for (int k = 0; k < kOwned; ++k) {
    const int number = thread + k * kThreads;
    const int i = number / kTileFirst;
    const int j = number % kTileFirst;
    const int last = tile.last_begin + i;
    const int first = tile.first_begin + j;
    if (last >= tile.last_size || first >= tile.first_size) continue;
    const int y = tile.turned ? first : last;
    const int x = tile.turned ? last : first;
    const int width = tile.turned ? tile.last_size : tile.first_size;
    for (int c = 0; c < 3; ++c) {
      float level = sums.value[k][c] / shared.last_sum[i];
      level = arithmetic.rounded ? WholeLevel(level) : Clamped(level);
      const float value = level * target.scale[c] + target.shift[c];
      if (target.layout == Layout::kPlanes) {
        const std::int64_t plane = static_cast<std::int64_t>(tile.last_size) * tile.first_size;
        store((row_number * 3 + c) * plane + static_cast<std::int64_t>(y) * width + x, value);
      } else {
        const std::int64_t area = static_cast<std::int64_t>(target.patch) * target.patch;
        const std::int64_t index = PatchIndex(target, row, y, x) + c * target.temporal * area;
        for (int t = 0; t < target.temporal; ++t) store(index + t * area, value);
      }
    }
  }
}

}  // namespace vista::cuda
