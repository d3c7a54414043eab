// The last thing that a warp does for its patch: normalised, it goes to the output. See
// crop_patch.h.
#pragma once

#include <cstdint>

#include "cuda/crop_patch.h"
#include "cuda/crop_resize_write.h"

namespace vista::cuda {

// Four neighbours along x, normalised: of row lane / 4 of a patch, or 8 further.
VISTA_DEVICE Lanes<Four> NormalisedFour(const PatchSums& sums, int channel, int further,
                                        const Target& target) {
  const float scale = target.scale[channel] / kSampleUnit;
  const float shift = target.shift[channel];
  Lanes<Four> values;
  ForEachLane([&](int lane) {
    VISTA_UNROLL
    for (int n = 0; n < 2; ++n) {
      const float* const pair = sums.of[channel][n][lane].of + 2 * further;
      const std::uint32_t levels = BytesBelow(pair[0], pair[1]);
      values[lane].of[2 * n] = LowOf(levels) * scale + shift;
      values[lane].of[2 * n + 1] = HighOf(levels) * scale + shift;
    }
  });
  return values;
}

// Of rows of 14, an odd one's fours become those that memory has: they begin with two numbers of
// the lane before, which are the last of the even row for the first of them.
VISTA_DEVICE void JoinRows(Lanes<Four>* values) {
  VISTA_UNROLL
  for (int n = 0; n < 2; ++n) {
    Lanes<float> given;
    ForEachLane([&](int lane) {
      const float* const own = (*values)[lane].of;
      given[lane] = lane % 4 == 3 ? own[n] : own[2 + n];
    });
    const Lanes<float> before = FromLaneBefore(given);
    ForEachLane([&](int lane) {
      float* const own = (*values)[lane].of;
      const bool odd = lane & 4;
      own[2 + n] = odd ? own[n] : own[2 + n];
      own[n] = odd ? before[lane] : own[n];
    });
  }
}

// Writes a patch to `out`, the whole output, kMoments times, or as many as there are if it is 0.
// `put(to, values)` writes four numbers. What lanes write at once has no gaps.
template <int kPatch, int kMoments, typename T, typename Put>
VISTA_DEVICE void WritePatch(const PatchSums& sums, const Target& target, T* begin,
                             const Put& put) {
  constexpr int kArea = kPatch * kPatch;
  constexpr bool kJoined = kPatch % kFour != 0;
  const int moments = kMoments == 0 ? target.temporal : kMoments;
  Lanes<T*> to;
  ForEachLane([&](int lane) {
    const int own = static_cast<int>(Opaque(lane));
    to[lane] = begin + kFour * (kJoined ? own / 8 * 7 + own % 8 - own / 4 % 2 : own);
  });
  VISTA_UNROLL
  for (int c = 0; c < 3; ++c) {
    VISTA_UNROLL
    for (int further = 0; further < 2; ++further) {
      Lanes<Four> values = NormalisedFour(sums, c, further, target);
      if (kJoined) JoinRows(&values);
      ForEachLane([&](int lane) {
        if (kJoined && lane % 8 == 3) return;
        if (further == 1 && lane / 4 >= kPatch - kGroup) return;
        T* const first = to[lane] + (c * moments * kArea + further * (kGroup * kPatch));
        put(first, values[lane]);
        if constexpr (kMoments == 2) {
          put(first + kArea, values[lane]);
        } else {
          VISTA_NO_UNROLL
          for (int t = 1; t < moments; ++t) put(first + t * kArea, values[lane]);
        }
      });
    }
  }
}

template <int kPatch, typename T, typename Put>
VISTA_DEVICE void WritePatch(const NearPatch& patch, const PlannedRow& row, const Target& target,
                             const PatchSums& sums, T* out, const Put& put) {
  static_assert(kPatch == 14 || kPatch == 16);
  const int y = patch.turned ? patch.first_place : patch.last_place;
  const int x = patch.turned ? patch.last_place : patch.first_place;
  const std::int64_t number = PatchAt(target, row, y, x);
  T* const begin = out + row.first_number + number * (3 * kPatch * kPatch * target.temporal);
  if (target.temporal == 2) {  // every model's so far
    WritePatch<kPatch, 2>(sums, target, begin, put);
  } else {
    WritePatch<kPatch, 0>(sums, target, begin, put);
  }
}

}  // namespace vista::cuda
