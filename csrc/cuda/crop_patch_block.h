// What the warps of a block share that makes patches (crop_patch.h), and how they fetch what their
// patches see.
#pragma once

#include <cstdint>

#include "cuda/crop_resize_plan.h"
#include "cuda/crop_resize_samples.h"
#include "cuda/crop_resize_weights.h"

namespace vista::cuda {

inline constexpr int kPatchThreads = kPatchWarps * kWarp;

// Bytes from one line of the source to the next: an odd multiple of 16, so that what eight lines
// have at the same place lies in different banks.
inline constexpr int kLineBytes = 112;
static_assert(kLineBytes % 32 == 16 && kLineBytes >= 3 * kSeen + 15);

// In halves, for the same reason.
inline constexpr int kWeightStride = kSeen + 8;

// The patches of a block: which it begins with, counted along each axis, and how many there are.
struct PatchBlock {
  int first_begin, last_begin;
  int first_count, last_count, count;
  Groups firsts;  // a patch's number counts along the first axis before the last
  bool turned;
};

template <int kPatch>
VISTA_DEVICE PatchBlock PatchBlockOf(const PlannedRow& row, int number) {
  const int last = number / row.blocks_first;
  const int first_begin = (number - last * row.blocks_first) * kAlongFirst;
  const int last_begin = last * row.tiles;
  const int first_count = Least(kAlongFirst, row.first.size / kPatch - first_begin);
  const int last_count = Least(row.tiles, row.last.size / kPatch - last_begin);
  return {first_begin,           last_begin,     first_count, last_count, first_count * last_count,
          GroupsOf(first_count), row.turned != 0};
}

// A block's shared memory.
struct PatchMemory {
  // Rows of weights, kPiece of them for each patch along the first axis and then along the last.
  alignas(16) Half high[(kAlongFirst + kAlongLast) * kPiece * kWeightStride];
  Half low[(kAlongFirst + kAlongLast) * kPiece * kWeightStride];
  // Of each warp: as they lie in the image. Beyond the last may be read, and is of no use.
  std::uint8_t lines[kPatchWarps][kSeen * kLineBytes + 16];
  int edges[kPatchWarps][kWarp];  // of what the patches see: FindEdges
  PatchBlock block;
};

// For a warp: begins and ends of what the patches along the first axis and then those along the
// last can see. What there is of patches that do not exist is of no use.
template <int kPatch>
VISTA_DEVICE void FindEdges(const PlannedRow& row, const PatchBlock& block,
                            const Arithmetic& arithmetic, int* edges) {
  static_assert(2 * (kAlongFirst + kAlongLast) <= kWarp);
  ForEachLane([&](int lane) {
    const bool end = lane & 1;
    const int number = lane / 2;
    const bool along_first = number < kAlongFirst;
    const Axis& axis = along_first ? row.first : row.last;
    const int patch =
        along_first ? block.first_begin + number : block.last_begin + number - kAlongFirst;
    const int output = patch * kPatch + (end ? kPatch - 1 : 0);
    edges[lane] = EdgeOf(end, Least(output, axis.size - 1), axis, arithmetic);
  });
  SyncWarp();
}

// Where number n of sixteen outputs along x lies, as do samples along x where that is the first
// axis: a lane has four neighbours.
VISTA_DEVICE constexpr int PlaceOf(int n) {
  return (n & ~15) | (n & 2) << 2 | (n >> 1 & 6) | (n & 1);
}

// Where line n lies if y is the first axis: a lane has every fourth.
VISTA_DEVICE constexpr int LinePlaceOf(int n) {
  return (n & ~15) | (n & 8) | (n << 1 & 6) | (n >> 2 & 1);
}

// The weights of an output by each lane: those of patch `number` along the first axis and then the
// last, and of the next.
template <int kPatch>
VISTA_DEVICE void StagePatchWeights(const PlannedRow& row, const Arithmetic& arithmetic, int number,
                                    const int* edges, PatchMemory* memory) {
  const PatchBlock& block = memory->block;
  const bool turned = block.turned;
  const bool along_first = number < kAlongFirst;
  const Axis& axis = along_first ? row.first : row.last;
  const int begin = along_first ? block.first_begin : block.last_begin - kAlongFirst;
  const int end = along_first ? block.first_count : kAlongFirst + block.last_count;
  ForEachLane([&](int lane) {
    const int patch = number + lane / kPiece;
    const int side = lane % kPiece;
    const int place = patch * kPiece + (along_first != turned ? PlaceOf(side) : side);
    Half* const high = memory->high + place * kWeightStride;
    Half* const low = memory->low + place * kWeightStride;
    VISTA_UNROLL
    for (int n = 0; n < kWeightStride; n += 8) {
      StoreChunk({}, high + n);
      StoreChunk({}, low + n);
    }
    if (side >= kPatch || patch >= end) return;
    const int output = (begin + patch) * kPatch + side;
    const Reach reach = ReachOf(output, axis, arithmetic);
    const int origin = reach.begin - edges[2 * patch];
    const FewWeights few = FewWeightsOf(output, reach, axis, arithmetic);
    const float unit = 1 / few.sum;
    VISTA_UNROLL
    for (int n = 0; n < kFewWeights; ++n) {
      if (reach.begin + n >= reach.end) break;
      const int sample = origin + n;
      const int column = turned ? LinePlaceOf(sample) : PlaceOf(sample);
      WriteWeight(few.of[n] * unit, high, low, along_first ? column : sample);
    }
  });
}

// Of a warp's share of a block's patches.
template <int kPatch>
VISTA_DEVICE void StagePatchWeights(const PlannedRow& row, const Arithmetic& arithmetic, int warp,
                                    PatchMemory* memory) {
  constexpr int kAtOnce = kWarp / kPiece;
  static_assert(kAlongFirst % kAtOnce == 0);
  const int end = kAlongFirst + memory->block.last_count;
  VISTA_NO_UNROLL
  for (int number = kAtOnce * warp; number < end; number += kAtOnce * kPatchWarps)
    StagePatchWeights<kPatch>(row, arithmetic, number, memory->edges[warp], memory);
}

// A patch of a block and what it sees of the image.
struct NearPatch {
  int first_place, last_place;  // counted in patches of the row
  int first, last;              // of the block
  bool turned;
  Reach lines, samples;  // of each line
};

VISTA_DEVICE NearPatch NearPatchOf(int number, const PatchBlock& block, const int* edges) {
  const int last = GroupOf(number, block.firsts);
  const int first = number - last * block.firsts.each;
  const int* const along_first = edges + 2 * first;
  const int* const along_last = edges + 2 * (kAlongFirst + last);
  const int* const lines = block.turned ? along_first : along_last;
  const int* const samples = block.turned ? along_last : along_first;
  return {block.first_begin + first, block.last_begin + last, first, last, block.turned,
          {lines[0], lines[1]},      {samples[0], samples[1]}};
}

VISTA_DEVICE int PitchOf(const PlannedRow& row) {
  return row.turned ? row.first.step : row.last.step;
}

VISTA_DEVICE int CountOf(const Reach& reach) { return reach.end - reach.begin; }

// Begins to fetch the lines of a patch. No sixteen bytes are read that hold none of a line.
VISTA_DEVICE void FetchPatch(const NearPatch& patch, const PlannedRow& row,
                             const std::uint8_t* pixels, std::uint8_t* lines) {
  constexpr int kBytes = sizeof(Chunk);
  constexpr int kLanes = 8;  // for the chunks of a line
  constexpr int kAtOnce = kWarp / kLanes;
  static_assert(kLanes * kBytes >= kLineBytes);
  const int bytes = 3 * CountOf(patch.samples);
  const int count = CountOf(patch.lines);
  const int pitch = PitchOf(row);
  const std::uint8_t* const corner =
      Beyond(pixels + row.first_byte + 3 * patch.samples.begin, patch.lines.begin, pitch);
  ForEachLane([&](int lane) {
    const int own = static_cast<int>(Opaque(lane));
    const int chunk = own % kLanes * kBytes;
    const std::uint8_t* from = Beyond(corner, own / kLanes, pitch) + chunk;
    const std::uint8_t* const end = lines + count * kLineBytes;
    // A line has a chunk less than lanes.
    const int begin = chunk < kLineBytes ? own / kLanes * kLineBytes + chunk : kSeen * kLineBytes;
    // Not looked up in shared memory for each line.
    const int step = static_cast<int>(Opaque(pitch));
    const int beyond = static_cast<int>(Opaque(chunk - bytes));
    VISTA_NO_UNROLL
    for (std::uint8_t* to = lines + begin; to < end; to += kAtOnce * kLineBytes) {
      const int skipped = Skipped(from);
      Fetch(skipped > beyond, from - skipped, to);
      from = Beyond(from, kAtOnce, step);
    }
  });
}

}  // namespace vista::cuda
