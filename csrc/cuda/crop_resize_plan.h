// What the blocks of threads that make a row have in common, made on the host before the launch.
//
// A block makes some tiles of one row's output, one after the other along the axis that is resized
// last, so that they share the weights along the first. A tile is kAcross pieces along the first
// axis and kDown along the last, a piece by each warp. Pieces are the patches of the output where
// their side is known when the kernel is compiled (kPatch), else squares of 16.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cuda/crop_resize.h"
#include "cuda/crop_resize_filter.h"

namespace vista::cuda {

inline constexpr int kPiece = 16;  // most outputs of a piece along each axis: a matrix has as many
inline constexpr int kAcross = 4;
inline constexpr int kDown = 2;
inline constexpr int kWarps = kAcross * kDown;
inline constexpr int kThreads = kWarps * kWarp;
inline constexpr int kMostTiles = 4;  // of a block
inline constexpr int kStep = 16;  // samples, or lines of them, that a product of matrices adds up

// Of rows whose patches see at most kSeen samples along either axis, a warp makes a patch
// (crop_patch.h), and a block as many as these along each axis at most.
inline constexpr int kSeen = 32;
inline constexpr int kFewWeights = 8;  // and each of its outputs so many
inline constexpr int kPatchWarps = 4;
inline constexpr int kAlongFirst = 4;
inline constexpr int kAlongLast = 6;

// How many outputs a piece and a tile have along each axis, but for the edges.
template <int kPatch>
inline constexpr int kSide = kPatch == 0 ? kPiece : kPatch;
template <int kPatch>
inline constexpr int kTileFirst = kAcross * kSide<kPatch>;
template <int kPatch>
inline constexpr int kTileLast = kDown * kSide<kPatch>;

// What a block's shared memory holds at once. Strides but the last are in halves, and odd multiples
// of 16 bytes, so that eight rows of a matrix lie in different banks.
struct Room {
  int lines;         // of the source
  int samples;       // of each line
  int whole;         // whether those are all that a tile can see of it
  int stride;        // from one line to the next
  int first_stride;  // from one output's weights to the next one's, along the first axis
  int last_stride;   // and along the last
  int raw_lines;     // of the image, and
  int raw_stride;    // bytes from one to the next
};

struct PlannedRow {
  std::int64_t first_byte;
  std::int64_t first_number;  // of the output
  Axis last, first;
  Room room;
  int patches_across;
  int blocks_first;  // along the first axis, a tile each
  int blocks;        // in all
  int tiles;         // of a block, fewer at the edge; of a near row, patches along the last axis
  int turned;
  int near;  // whether its patches are made as in crop_patch.h, which has no use for `room`
};

// One tile of one row.
struct Tile {
  int last_begin, first_begin;  // its first output along each axis
  int last_count, first_count;  // its outputs along each axis, fewer at the edges
};

// The tile of a block that begins at output `last_begin` along the last axis.
template <int kPatch>
VISTA_DEVICE Tile TileOf(const PlannedRow& row, int block_first, int last_begin) {
  const int first_begin = block_first * kTileFirst<kPatch>;
  return {last_begin, first_begin, Least(kTileLast<kPatch>, row.last.size - last_begin),
          Least(kTileFirst<kPatch>, row.first.size - first_begin)};
}

inline constexpr int kFirstOutputs = kAcross * kPiece;
inline constexpr int kLastOutputs = kDown * kPiece;

// A patch is staged as floats before it is written: two lines of it take kTwoLines, so that a
// warp's writes go to different banks.
inline constexpr int kTwoLines = 40;
template <int kPatch>
inline constexpr int kStagedPlane = kPatch / 2 * kTwoLines;
// Bytes of a tile of patches.
template <int kPatch>
inline constexpr int kStagedBytes =
    static_cast<int>(sizeof(float)) * kWarps * 3 * kStagedPlane<kPatch>;

// Bytes of shared memory for the weights of a tile's outputs along one axis, in two halves each.
template <typename Integer>
VISTA_DEVICE Integer WeightBytes(int outputs, Integer stride) {
  return static_cast<Integer>(2 * sizeof(Half)) * outputs * stride;
}

// Where what a block has fetched begins: after the scale of each output's weights, the weights
// along the first axis, and those along the last with the samples, over which a tile's `staged`
// bytes come to lie.
template <typename Integer>
VISTA_DEVICE Integer RawOffset(const Room& room, int staged) {
  const Integer samples = static_cast<Integer>(3 * sizeof(Half)) * room.lines * room.stride;
  const Integer part = WeightBytes<Integer>(kLastOutputs, room.last_stride) + samples;
  return static_cast<Integer>(sizeof(float)) * (kFirstOutputs + kLastOutputs) +
         WeightBytes<Integer>(kFirstOutputs, room.first_stride) + (part < staged ? staged : part);
}

inline std::int64_t SharedBytes(const Room& room, int staged) {
  return RawOffset<std::int64_t>(room, staged) + std::int64_t{room.raw_lines} * room.raw_stride;
}

// Three blocks of the first size fit into a multiprocessor of compute capability 9.0 or 10.0, two
// into one of 8.0; the second is about what a block can have at most on one of 8.6, 8.9 or 12.0.
inline constexpr int kFewBytes = 73 << 10;
inline constexpr int kMostBytes = 98 << 10;

inline int RoundUp(int value, int unit) { return (value + unit - 1) / unit * unit; }

// At least `count`, and an odd multiple of 16 bytes.
inline int StrideFor(int count) { return (count + 7) / 8 * 8 + ((count + 7) / 8 % 2 == 0 ? 8 : 0); }

// How many samples `outputs` neighbouring ones weigh at most.
inline int SpanOf(int outputs, const Axis& axis, const Arithmetic& arithmetic) {
  const int support = SupportOf(arithmetic) * Most(axis.length, axis.size);
  const std::int64_t seen = std::int64_t{outputs - 1} * axis.length + 2 * std::int64_t{support};
  return static_cast<int>(std::min<std::int64_t>((seen + axis.size - 1) / axis.size, axis.length));
}

// For tiles of pieces of `side` outputs, of which `staged` bytes are staged.
inline Room RoomOf(int side, int staged, const Axis& last, const Axis& first, bool turned,
                   const Arithmetic& arithmetic) {
  constexpr int kAlignment = 8;  // halves: a matrix begins at a multiple
  constexpr int kChunk = 16;     // bytes that are fetched at once
  const int seen = SpanOf(kAcross * side, first, arithmetic);
  const auto room = [&](int lines, int samples) {
    const int piece = Least(SpanOf(side, first, arithmetic) + kAlignment - 1, samples);
    const int piece_lines = Least(SpanOf(side, last, arithmetic), lines);
    const int padded = RoundUp(samples + kStep - 1, kAlignment);
    const int across = turned ? RoundUp(lines, kAlignment) : padded;
    // Neither begins nor ends at a multiple of kChunk.
    return Room{lines,
                samples,
                samples >= seen,
                StrideFor(padded),
                StrideFor(RoundUp(piece, kStep)),
                StrideFor(RoundUp(piece_lines, kStep)),
                turned ? samples : lines,
                RoundUp(3 * across, kChunk) + 2 * kChunk};
  };
  const int lines = SpanOf(kDown * side, last, arithmetic);
  if (const Room all = room(lines, seen); SharedBytes(all, staged) <= kFewBytes) return all;
  // Two blocks with parts of many lines do better than three that meet at a barrier for each few.
  constexpr int kMostLines = 8 * kStep;
  const auto most_lines = [&](int bytes, int least) {
    int some = Least(RoundUp(lines, kStep), kMostLines);
    while (some >= least && SharedBytes(room(some, seen), staged) > bytes) some -= kStep;
    return some < least ? 0 : some;
  };
  if (const int some = most_lines(kFewBytes, 2 * kStep); some > 0) return room(some, seen);
  if (const int some = most_lines(kMostBytes, kStep); some > 0) return room(some, seen);
  constexpr int kSomeSamples = 8 * kStep;
  return room(kStep, Least(seen, kSomeSamples));
}

// A crop of an image in memory and its output. "last" is the axis that is resized last, in whole:
// y, or x if the row is turned, which is how Pillow 13 orders its passes for some shapes and shows
// only in rounded results.
struct CropRow {
  std::int64_t first_byte;
  std::int64_t last_step, last_length, last_size;
  std::int64_t first_step, first_length, first_size;  // steps in bytes; 3 along x
  bool turned;
};

inline CropRow RowOf(std::int64_t offset, std::int64_t pitch, const std::int64_t (&box)[4],
                     const std::int64_t (&size)[2], bool rounded) {
  const auto [left, top, right, bottom] = box;
  const auto [height, width] = size;
  const std::int64_t first_byte = offset + top * pitch + left * 3;
  const std::int64_t lost = bottom - top - height;
  if (rounded && lost > 0 && lost > 2 * (right - left - width))
    return {first_byte, 3, right - left, width, pitch, bottom - top, height, true};
  return {first_byte, pitch, bottom - top, height, 3, right - left, width, false};
}

// Whether the patches of a row are made as in crop_patch.h.
template <int kPatch>
bool IsNear(const PlannedRow& row, const Arithmetic& arithmetic) {
  const auto sees_few = [&](const Axis& axis) {
    return SpanOf(kPatch, axis, arithmetic) <= kSeen && SpanOf(1, axis, arithmetic) <= kFewWeights;
  };
  return kPatch != 0 && arithmetic.rounded && sees_few(row.last) && sees_few(row.first);
}

// The row's numbers begin at `first_number` of the output; `patches_across` counts where that is in
// patches.
template <int kPatch>
PlannedRow PlanRow(const CropRow& row, const Arithmetic& arithmetic, std::int64_t first_number,
                   int patches_across) {
  const auto axis = [](std::int64_t step, std::int64_t length, std::int64_t size) {
    return AxisOf(static_cast<int>(step), static_cast<int>(length), static_cast<int>(size));
  };
  const auto units = [](int size, int unit) { return (size + unit - 1) / unit; };
  PlannedRow planned;
  planned.first_byte = row.first_byte;
  planned.first_number = first_number;
  planned.last = axis(row.last_step, row.last_length, row.last_size);
  planned.first = axis(row.first_step, row.first_length, row.first_size);
  planned.room = RoomOf(kSide<kPatch>, kStagedBytes<kPatch>, planned.last, planned.first,
                        row.turned, arithmetic);
  planned.patches_across = patches_across;
  planned.turned = row.turned;
  planned.near = IsNear<kPatch>(planned, arithmetic);
  const int tiles = units(planned.last.size, planned.near ? kPatch : kTileLast<kPatch>);
  planned.tiles = units(tiles, units(tiles, planned.near ? kAlongLast : kMostTiles));
  const int first_side = planned.near ? kAlongFirst * kPatch : kTileFirst<kPatch>;
  planned.blocks_first = units(planned.first.size, first_side);
  planned.blocks = planned.blocks_first * units(tiles, planned.tiles);
  return planned;
}

// Runs `with` with the side of patches that its tiles are made of: Qwen2-VL's or Qwen3-VL's, or 0.
template <typename With>
Status WithPatch(const CropResizeBatch& batch, const With& with) {
  const int side = batch.layout == Layout::kPatches ? batch.patch_size : 0;
  if (side == 14) return with(std::integral_constant<int, 14>());
  if (side == 16) return with(std::integral_constant<int, 16>());
  return with(std::integral_constant<int, 0>());
}

}  // namespace vista::cuda
