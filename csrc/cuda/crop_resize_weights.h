// The weights of a tile's outputs, staged for tensor cores. See crop_resize_block.h.
#pragma once

#include <cstdint>

#include "cuda/crop_resize_block.h"

namespace vista::cuda {

// A weight as two halves, for sample `n` of an output's row.
VISTA_DEVICE void WriteWeight(float weight, Half* high, Half* low, int n) {
  const std::uint32_t nearest = HalvesOf(weight, 0);
  high[n] = static_cast<Half>(nearest);
  low[n] = static_cast<Half>(HalvesOf(weight - LowOf(nearest), 0));
}

// Most outputs have few weights, which are made side by side.
struct FewWeights {
  float of[kFewWeights];  // of samples from the reach's first, before they are divided by
  float sum;
};

VISTA_DEVICE FewWeights FewWeightsOf(int output, const Reach& reach, const Axis& axis,
                                     const Arithmetic& arithmetic) {
  FewWeights weights;
  weights.sum = 0;
  VISTA_UNROLL
  for (int n = 0; n < kFewWeights; ++n) {
    weights.of[n] =
        reach.begin + n < reach.end ? WeightOf(reach.begin + n, output, axis, arithmetic) : 0;
    weights.sum += weights.of[n];
  }
  return weights;
}

// Writes the weights of `output` for the samples of `part`, as they are counted from `origin`, to
// row `number`, and zeros for the rest of it; they are all zero where there is no such output.
// `scale` is kept from the first part to the others.
VISTA_DEVICE void WriteWeights(bool exists, int output, const Axis& axis, const Reach& part,
                               int origin, const Arithmetic& arithmetic, bool first_part,
                               int number, const Weights& weights, float* scale) {
  Half* const high = weights.high + number * weights.stride;
  Half* const low = weights.low + number * weights.stride;
  VISTA_NO_UNROLL
  for (int n = 0; n < weights.stride; n += 8) {
    StoreChunk({}, high + n);
    StoreChunk({}, low + n);
  }
  if (!exists) return;
  const Reach reach = ReachOf(output, axis, arithmetic);
  const Reach seen = Common(reach, part);
  if (reach.end - reach.begin <= kFewWeights && first_part) {
    const FewWeights few = FewWeightsOf(output, reach, axis, arithmetic);
    const float unit = 1 / (kWeightUnit * few.sum);
    *scale = unit;
    VISTA_UNROLL
    for (int n = 0; n < kFewWeights; ++n) {
      if (reach.begin + n < seen.end)
        WriteWeight(few.of[n] * unit, high, low, reach.begin + n - origin);
    }
    return;
  }
  if (first_part) {
    float sum = 0;
    VISTA_NO_UNROLL
    for (int n = reach.begin; n < reach.end; ++n) sum += WeightOf(n, output, axis, arithmetic);
    *scale = 1 / (kWeightUnit * sum);
  }
  const float unit = *scale;
  VISTA_NO_UNROLL
  for (int n = seen.begin; n < seen.end; ++n)
    WriteWeight(WeightOf(n, output, axis, arithmetic) * unit, high, low, n - origin);
}

// The weights of a part along the first axis, an output by each thread from the first.
template <int kPatch>
VISTA_DEVICE void StageFirstWeights(const Tile& tile, const PlannedRow& row, const Part& part,
                                    const Arithmetic& arithmetic, bool first_part, int thread,
                                    const Shared& shared) {
  if (thread >= kFirstOutputs) return;
  const int side = thread & (kPiece - 1);
  const int begin = static_cast<int>(static_cast<unsigned>(thread) / kPiece) * kSide<kPatch>;
  const int first_of_piece = Least(tile.first_begin + begin, row.first.size - 1);
  const int origin = AlignedBegin(BeginOf(first_of_piece, row.first, arithmetic), part);
  WriteWeights(side < kSide<kPatch> && begin + side < tile.first_count,
               tile.first_begin + begin + side, row.first, part.samples, origin, arithmetic,
               first_part, thread, shared.first, shared.scale + thread);
}

// And along the last, by each thread from the last.
template <int kPatch>
VISTA_DEVICE void StageLastWeights(const Tile& tile, const PlannedRow& row, const Part& part,
                                   const Arithmetic& arithmetic, bool first_part, int thread,
                                   const Shared& shared) {
  const int number = kThreads - 1 - thread;
  if (number >= kLastOutputs) return;
  const int side = number & (kPiece - 1);
  const int begin = static_cast<int>(static_cast<unsigned>(number) / kPiece) * kSide<kPatch>;
  const int first_of_piece = Least(tile.last_begin + begin, row.last.size - 1);
  const int origin = Most(BeginOf(first_of_piece, row.last, arithmetic), part.lines.begin);
  WriteWeights(side < kSide<kPatch> && begin + side < tile.last_count,
               tile.last_begin + begin + side, row.last, part.lines, origin, arithmetic, first_part,
               number, shared.last, shared.scale + kFirstOutputs + number);
}

}  // namespace vista::cuda
