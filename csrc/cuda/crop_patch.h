// What one warp does for one patch of a row that is enlarged or shrunk little, as most rows of a
// policy are: it fetches what the patch sees of the image, as bytes, multiplies by the weights
// along each axis, and writes the patch from its registers. Warps of a block share the weights, and
// once those are made they do not meet any more; what other rows need is in crop_resize_tile.h.
//
// The first product is W S, for weights W along the first axis, an output in each row, and samples
// S, with those along the last axis in columns. Rounded to levels, it becomes the right matrix of
// the second, V (W S)', with weights V along the last axis, where it is: in the lanes' registers.
// Where the first axis is y it becomes the left one, (W S) V'. So the result has y in rows always.
// Its columns, and so the rows of weights along x, lie in an order (PlaceOf) in which a lane has
// neighbours in memory.
#pragma once

#include <cstdint>

#include "cuda/crop_patch_block.h"

namespace vista::cuda {

// Sums begin at half a level, to be rounded down, and at what they may have lost on their way: else
// those at a half, which go upwards, would be below it.
inline constexpr float kHalfLevel = (0.5f + 1.0f / 8192) * kSampleUnit;

inline constexpr int kGroup = 8;  // columns of a product of matrices
inline constexpr int kGroups = kSeen / kGroup;
inline constexpr int kSteps = kSeen / kStep;

// Rows of weights as matrices: of patch `number` along the first axis and then along the last, for
// kStep samples.
VISTA_DEVICE void LoadWeights(const Half* weights, int number, int step, bool right,
                              Lanes<Matrices>* loaded) {
  Lanes<const Half*> rows;
  ForEachLane([&](int lane) {
    const int eight = lane / 8 % 2 * 8;
    const int sixteen = lane / 16 * 8;
    const int row = number * kPiece + lane % 8 + (right ? sixteen : eight);
    rows[lane] = weights + row * kWeightStride + (right ? eight : sixteen) + step * kStep;
  });
  LoadMatrices(rows, loaded);
}

struct PatchWeights {
  Lanes<Matrices> high, low;
};

// As a product's left matrix, or its right.
VISTA_DEVICE void LoadWeights(const PatchMemory& memory, int number, int step, bool right,
                              PatchWeights* loaded) {
  LoadWeights(memory.high, number, step, right, &loaded->high);
  LoadWeights(memory.low, number, step, right, &loaded->low);
}

// Where a lane's samples lie among the lines that were fetched. Where x is the first axis, it has
// four neighbours of line lane / 4 of each group: [0] is for even groups and [1] for odd ones. Else
// it has sample lane / 4 of each group in every fourth line from lane % 4 on, by four pointers.
struct SamplesAt {
  Lanes<const std::uint32_t*> words[4];
  Lanes<int> bits;  // of the words, before the samples
};

template <bool kTurned>
VISTA_DEVICE SamplesAt FindSamples(const NearPatch& patch, const PlannedRow& row,
                                   const std::uint8_t* pixels, const std::uint8_t* lines) {
  const int pitch = PitchOf(row);
  // How far a line begins beyond a multiple of sixteen is told by the last bits of its address.
  const unsigned corner = static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(pixels)) +
                          static_cast<unsigned>(row.first_byte) +
                          static_cast<unsigned>(patch.lines.begin) * static_cast<unsigned>(pitch) +
                          static_cast<unsigned>(3 * patch.samples.begin);
  SamplesAt at;
  ForEachLane([&](int lane) {
    const int own = static_cast<int>(Opaque(lane));
    const int first_line = kTurned ? own % 4 : own / 4;
    const int byte = kTurned ? own / 4 * 3 : own % 4 * 3 * 4;
    const int further = kTurned ? 4 : kGroup;  // lines, to the next pointer's
    VISTA_UNROLL
    for (int n = 0; n < (kTurned ? 4 : 2); ++n) {
      const unsigned line = static_cast<unsigned>(first_line + n * further);
      const int skipped = static_cast<int>((corner + line * static_cast<unsigned>(pitch)) & 15);
      const int begin = first_line * kLineBytes + (kTurned ? n * further * kLineBytes : 0);
      at.words[n][lane] =
          reinterpret_cast<const std::uint32_t*>(lines + begin + ((byte + skipped) & ~3));
      if (n == 0) at.bits[lane] = (byte + skipped) % 4 * 8;
    }
  });
  return at;
}

// The samples of a group for a product, of each channel: a quarter of a right matrix.
template <bool kTurned>
VISTA_DEVICE Quad SamplesOf(const SamplesAt& at, int lane, int group, int step) {
  constexpr int kWord = sizeof(std::uint32_t);
  const int bits = at.bits[lane];
  if constexpr (!kTurned) {
    return QuadOf(
        at.words[group % 2][lane] + (group * kGroup * kLineBytes + step * kStep * 3) / kWord, bits);
  } else {
    std::uint32_t pixels[4];
    VISTA_UNROLL
    for (int n = 0; n < 4; ++n) {
      const std::uint32_t* const words =
          at.words[n][lane] + (step * kStep * kLineBytes + group * kGroup * 3) / kWord;
      pixels[n] = Shifted(words[0], words[1], bits);
    }
    Quad quad;
    VISTA_UNROLL
    for (int c = 0; c < 3; ++c) {
      const std::uint32_t both = static_cast<std::uint32_t>(c + ((4 + c) << 8));
      quad.of[c][0] = Chosen(pixels[0], pixels[1], both) & 0x00ff00ff;
      quad.of[c][1] = Chosen(pixels[2], pixels[3], both) & 0x00ff00ff;
    }
    return quad;
  }
}

// A group's sums of each channel.
struct GroupSums {
  Lanes<Sums> of[3];
};

// sums = before + the products of a group over kStep samples. The weights of patch `number` are
// loaded anew each time, because they would take many registers.
template <bool kTurned>
VISTA_DEVICE void AddGroup(const SamplesAt& at, int group, int step, const PatchMemory& memory,
                           int number, const GroupSums& before, GroupSums* sums) {
  PatchWeights weights;
  LoadWeights(memory, number, step, false, &weights);
  Lanes<Matrices> samples[3];
  ForEachLane([&](int lane) {
    const Quad quad = SamplesOf<kTurned>(at, lane, group, step);
    VISTA_UNROLL
    for (int c = 0; c < 3; ++c) {
      samples[c][lane].of[0] = quad.of[c][0];
      samples[c][lane].of[1] = quad.of[c][1];
    }
  });
  // By turns, because each sum has to wait for the one before.
  VISTA_UNROLL
  for (int c = 0; c < 3; ++c) MultiplyAdd(weights.high, samples[c], 0, before.of[c], &sums->of[c]);
  VISTA_UNROLL
  for (int c = 0; c < 3; ++c) MultiplyAdd(weights.low, samples[c], 0, &sums->of[c]);
}

// What a patch sees, resized along the first axis and rounded to whole levels. A lane has, of each
// group along the last axis, two neighbours of the output in row lane / 4, and of that 8 further.
struct Levels {
  Lanes<std::uint32_t> of[3][kGroups][2];
};

// From the lines that were fetched.
template <bool kTurned>
VISTA_DEVICE void ResizeFirst(const NearPatch& patch, const PlannedRow& row,
                              const std::uint8_t* pixels, const std::uint8_t* lines,
                              const PatchMemory& memory, Levels* levels) {
  const bool second = CountOf(kTurned ? patch.lines : patch.samples) > kStep;
  const int count = CountOf(kTurned ? patch.samples : patch.lines);
  const SamplesAt at = FindSamples<kTurned>(patch, row, pixels, lines);
  VISTA_UNROLL
  for (int group = 0; group < kGroups; ++group) {
    if (group * kGroup >= count) {
      VISTA_UNROLL
      for (int n = 0; n < 6; ++n) {
        ForEachLane([&](int lane) { levels->of[n / 2][group][n % 2][lane] = 0; });
      }
      continue;
    }
    GroupSums sums;
    VISTA_UNROLL
    for (int c = 0; c < 3; ++c) Fill(kHalfLevel, &sums.of[c]);
    AddGroup<kTurned>(at, group, 0, memory, patch.first, sums, &sums);
    if (second) AddGroup<kTurned>(at, group, 1, memory, patch.first, sums, &sums);
    VISTA_UNROLL
    for (int c = 0; c < 3; ++c) {
      ForEachLane([&](int lane) {
        const float* const found = sums.of[c][lane].of;
        levels->of[c][group][0][lane] = BytesBelow(found[0], found[1]);
        levels->of[c][group][1][lane] = BytesBelow(found[2], found[3]);
      });
    }
  }
}

VISTA_DEVICE void ResizeFirst(const NearPatch& patch, const PlannedRow& row,
                              const std::uint8_t* pixels, const std::uint8_t* lines,
                              const PatchMemory& memory, Levels* levels) {
  if (patch.turned) {
    ResizeFirst<true>(patch, row, pixels, lines, memory, levels);
  } else {
    ResizeFirst<false>(patch, row, pixels, lines, memory, levels);
  }
}

// A patch's sums: of each channel a lane has, in rows lane / 4 and 8 further, neighbours
// 4 * (lane % 4) and the next, and then the two next to those.
struct PatchSums {
  Lanes<Sums> of[3][2];
};

// And along the last axis.
template <bool kTurned>
VISTA_DEVICE void ResizeLast(const NearPatch& patch, const Levels& levels,
                             const PatchMemory& memory, PatchSums* sums) {
  Lanes<Sums> start;
  Fill(kHalfLevel, &start);
  VISTA_UNROLL
  for (int step = 0; step < kSteps; ++step) {
    if (step * kStep >= CountOf(kTurned ? patch.samples : patch.lines)) break;
    PatchWeights weights;
    LoadWeights(memory, kAlongFirst + patch.last, step, kTurned, &weights);
    Lanes<Matrices> lines[3];
    VISTA_UNROLL
    for (int c = 0; c < 3; ++c) {
      ForEachLane([&](int lane) {
        VISTA_UNROLL
        for (int n = 0; n < 4; ++n) {
          const int group = 2 * step + (kTurned ? n / 2 : n % 2);
          lines[c][lane].of[n] = levels.of[c][group][kTurned ? n % 2 : n / 2][lane];
        }
      });
    }
    const auto add = [&](const Lanes<Matrices>& some, bool first) {
      VISTA_UNROLL
      for (int n = 0; n < 6; ++n) {
        const Lanes<Matrices>& those = lines[n / 2];
        Lanes<Sums>* const to = &sums->of[n / 2][n % 2];
        MultiplyAdd(kTurned ? those : some, kTurned ? some : those, n % 2, first ? start : *to, to);
      }
    };
    add(weights.high, step == 0);
    add(weights.low, false);
  }
}

VISTA_DEVICE void ResizeLast(const NearPatch& patch, const Levels& levels,
                             const PatchMemory& memory, PatchSums* sums) {
  if (patch.turned) {
    ResizeLast<true>(patch, levels, memory, sums);
  } else {
    ResizeLast<false>(patch, levels, memory, sums);
  }
}

}  // namespace vista::cuda
