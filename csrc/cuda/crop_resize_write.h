// The last phases of a block of threads: its tile, normalised, goes to the output. See
// crop_resize_tile.h.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/crop_resize.h"
#include "cuda/crop_resize_tile.h"

namespace vista::cuda {

// Where outputs go and what they become.
struct Target {
  Layout layout;
  int patch, merge, temporal;
  float scale[3];
  float shift[3];
};

inline constexpr int kFour = 4;

// Four numbers that are read and written as one.
struct alignas(16) [[gnu::may_alias]] Four {
  float of[kFour];
};

// Divided by a merge size; by 2, which is every model's so far, in one instruction.
VISTA_DEVICE int ByMerge(int value, int merge) { return merge == 2 ? value >> 1 : value / merge; }

// The number of a patch of a row by its place, counted in patches.
VISTA_DEVICE std::int64_t PatchAt(const Target& target, const PlannedRow& row, int y, int x) {
  const int merge = target.merge;
  const int group_y = ByMerge(y, merge);
  const int group_x = ByMerge(x, merge);
  const int group = group_y * ByMerge(row.patches_across, merge) + group_x;
  const int within = (y - group_y * merge) * merge + x - group_x * merge;
  return static_cast<std::int64_t>(group) * merge * merge + within;
}

VISTA_DEVICE float Clamped(float level) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  // Floats from 0 on are ordered as their bits are, and those below are negative as integers: one
  // instruction of Hopper and later.
  return __int_as_float(__vimin_s32_relu(__float_as_int(level), __float_as_int(255.0f)));
#else
  return fminf(fmaxf(level, 0.0f), 255.0f);
#endif
}

// From a sum of FillOutputs and AddLines.
VISTA_DEVICE float Normalised(float sum, int channel, const Arithmetic& arithmetic,
                              const Target& target) {
#ifdef __CUDA_ARCH__
  // Rounded down to where a float has no fraction: conversions have few units.
  const float whole = arithmetic.rounded ? 8388608.0f : 0.0f;
  const float level = __fmaf_rd(sum, OutputUnit(arithmetic), whole) - whole;
#else
  const float exact = sum * OutputUnit(arithmetic);
  const float level = arithmetic.rounded ? std::floor(exact) : exact;
#endif
  return Clamped(level) * target.scale[channel] + target.shift[channel];
}

// A piece's sums with what they are of: visit(channel, first, last, sum), counted from the piece's
// first output along each axis.
template <typename Visit>
VISTA_DEVICE void ForEachOutput(const Piece& piece, const Blocks& outputs, const Visit& visit) {
  VISTA_UNROLL
  for (int n = 0; n < 24; ++n) {
    ForEachLane([&](int lane) {
      const int first = lane / 4 + n / 2 % 2 * 8;
      const int last = n / 4 % 2 * 8 + lane % 4 * 2 + n % 2;
      if (first < piece.first_count && last < piece.last_count)
        visit(n / 8, first, last, outputs.of[n / 8].of[n / 4 % 2][lane].of[n % 4]);
    });
  }
}

// value / kDivisor, for products of the two under 2^16.
template <unsigned kDivisor>
VISTA_DEVICE constexpr unsigned DividedBy(unsigned value) {
  return value * ((1u << 16) / kDivisor + 1) >> 16;
}

// Where number kFour * four of a patch is staged, and those that lie with it.
template <int kPatch>
VISTA_DEVICE constexpr unsigned StagedAt(unsigned four) {
  return four * kFour + DividedBy<2 * kPatch / kFour>(four) * (kTwoLines - 2 * kPatch);
}

// For a kPatch that is not 0: a warp's patch, normalised.
template <int kPatch>
VISTA_DEVICE void StagePatch(const Piece& piece, const PlannedRow& row,
                             const Arithmetic& arithmetic, const Target& target, int warp,
                             const Blocks& outputs, const Shared& shared) {
  static_assert(kPatch % 2 == 0 && 2 * kPatch <= kTwoLines && 2 * kPatch % kFour == 0);
  if (IsEmpty(piece)) return;
  // A lane has outputs `along` and 8 more along the first axis, and `last`, the next, and 8 more of
  // both along the last.
  const int eight_lines = 4 * kTwoLines;
  const int step_first = row.turned ? eight_lines : 8;
  const int step_last = row.turned ? 8 : eight_lines;
  const int next_last = row.turned ? 1 : kPatch;
  ForEachLane([&](int lane) {
    const unsigned own = Opaque(lane);
    const int first = static_cast<int>(own / 4);
    const int last = static_cast<int>(own % 4 * 2);
    const int x = row.turned ? last : first;
    const int y = row.turned ? first : last;
    float* const staged =
        shared.staged + warp * 3 * kStagedPlane<kPatch> + y / 2 * kTwoLines + y % 2 * kPatch + x;
    VISTA_UNROLL
    for (int n = 0; n < 8; ++n) {
      const int far_first = n / 2 % 2;
      const int far_last = n / 4;
      if (first + 8 * far_first >= kPatch || last + 8 * far_last >= kPatch) continue;
      float* const to = staged + far_first * step_first + far_last * step_last + n % 2 * next_last;
      VISTA_UNROLL
      for (int c = 0; c < 3; ++c) {
        to[c * kStagedPlane<kPatch>] =
            Normalised(outputs.of[c].of[far_last][lane].of[n % 4], c, arithmetic, target);
      }
    }
  });
}

// Then the same warp writes it to `out`, the whole output, as many times as there are moments.
// `put(to, values)` writes four numbers.
template <int kPatch, typename T, typename Put>
VISTA_DEVICE void CopyPatch(const Tile& tile, const Piece& piece, const PlannedRow& row,
                            const Target& target, int warp, const Shared& shared, T* out,
                            const Put& put) {
  constexpr unsigned kArea = kPatch * kPatch;
  constexpr unsigned kFours = 3 * kArea / kFour;
  static_assert(kArea % kFour == 0 && kFours * kArea < 1 << 16);
  if (IsEmpty(piece)) return;
  const int first = tile.first_begin / kPatch + piece.first;
  const int last = tile.last_begin / kPatch + piece.last;
  const std::int64_t patch =
      PatchAt(target, row, row.turned ? first : last, row.turned ? last : first);
  T* const begin = out + row.first_number + patch * static_cast<int>(3 * kArea) * target.temporal;
  const float* const staged = shared.staged + warp * 3 * kStagedPlane<kPatch>;
  const auto values = [&](unsigned four) {
    return *reinterpret_cast<const Four*>(staged + StagedAt<kPatch>(four));
  };
  const auto channel = [](unsigned four) { return DividedBy<kArea / kFour>(four); };
  ForEachLane([&](int lane) {
    const unsigned own = Opaque(lane);
    if (target.temporal == 2) {  // every model's so far
      VISTA_UNROLL
      for (unsigned some = 0; some < kFours; some += kWarp) {
        const unsigned four = some + own;
        if (four >= kFours) break;
        const Four numbers = values(four);
        T* const to = begin + (four * kFour + channel(four) * kArea);
        put(to, numbers);
        put(to + kArea, numbers);
      }
      return;
    }
    const unsigned more = static_cast<unsigned>(target.temporal) - 1;
    VISTA_NO_UNROLL
    for (unsigned four = own; four < kFours; four += kWarp) {
      T* const to = begin + (four * kFour + channel(four) * more * kArea);
      VISTA_NO_UNROLL
      for (unsigned t = 0; t <= more; ++t) put(to + t * kArea, values(four));
    }
  });
}

// Where nothing is staged: a warp's piece, normalised and written.
template <typename T, typename Put>
VISTA_DEVICE void WritePiece(const Tile& tile, const Piece& piece, const PlannedRow& row,
                             const Arithmetic& arithmetic, const Target& target,
                             const Blocks& outputs, T* out, const Put& put) {
  if (IsEmpty(piece)) return;
  const int width = row.turned ? row.last.size : row.first.size;
  const std::int64_t plane = static_cast<std::int64_t>(row.last.size) * row.first.size;
  T* const begin = out + row.first_number;
  ForEachOutput(piece, outputs, [&](int c, int first, int last, float sum) {
    first += tile.first_begin + piece.first * kPiece;
    last += tile.last_begin + piece.last * kPiece;
    const int y = row.turned ? first : last;
    const int x = row.turned ? last : first;
    const float value = Normalised(sum, c, arithmetic, target);
    if (target.layout == Layout::kPlanes) {
      put(begin + c * plane + static_cast<std::int64_t>(y) * width + x, value);
      return;
    }
    const std::int64_t area = static_cast<std::int64_t>(target.patch) * target.patch;
    const std::int64_t patch = PatchAt(target, row, y / target.patch, x / target.patch);
    const std::int64_t index = (patch * 3 + c) * target.temporal * area +
                               y % target.patch * target.patch + x % target.patch;
    for (int t = 0; t < target.temporal; ++t) put(begin + index + t * area, value);
  });
}

}  // namespace vista::cuda
