// What the tiles of a row have in common, made on the host before the launch.
#pragma once

#include <cstdint>

#include "cuda/crop_resize.h"
#include "cuda/crop_resize_filter.h"

namespace vista::cuda {

inline constexpr int kTileLast = 32;  // most outputs of a tile along each axis
inline constexpr int kTileFirst = 64;

struct PlannedRow {
  std::int64_t first_byte;
  std::int64_t first_patch;
  Axis last, first;
  int patches_across;
  int tiles_first;  // along the first axis
  int tiles;        // in all
  int turned;
};

// One tile of one row.
struct Tile {
  int last_begin, first_begin;  // its first output along each axis
  int last_count, first_count;  // its outputs along each axis, fewer at the edges
};

// How many outputs a tile has along each axis. A kPatch that is not 0 says that the output is in
// patches of that side; a tile is then made of whole patches, which can be written without gaps.
template <int kPatch>
VISTA_DEVICE constexpr int TileLast() {
  return kPatch == 0 ? kTileLast : kTileLast / kPatch * kPatch;
}
template <int kPatch>
VISTA_DEVICE constexpr int TileFirst() {
  return kPatch == 0 ? kTileFirst : kTileFirst / kPatch * kPatch;
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

// `patches_across` and `first_patch`, which is where the row's patches begin, count where the
// output is in patches.
template <int kPatch>
PlannedRow PlanRow(const CropRow& row, const Arithmetic& arithmetic, std::int64_t first_patch,
                   int patches_across) {
  const auto axis = [&arithmetic](std::int64_t step, std::int64_t length, std::int64_t size) {
    return AxisOf(static_cast<int>(step), static_cast<int>(length), static_cast<int>(size),
                  arithmetic);
  };
  PlannedRow planned;
  planned.first_byte = row.first_byte;
  planned.first_patch = first_patch;
  planned.last = axis(row.last_step, row.last_length, row.last_size);
  planned.first = axis(row.first_step, row.first_length, row.first_size);
  planned.patches_across = patches_across;
  planned.tiles_first = (planned.first.size + TileFirst<kPatch>() - 1) / TileFirst<kPatch>();
  planned.tiles =
      (planned.last.size + TileLast<kPatch>() - 1) / TileLast<kPatch>() * planned.tiles_first;
  planned.turned = row.turned;
  return planned;
}

template <int kPatch>
VISTA_DEVICE Tile TileOf(const PlannedRow& row, int number) {
  const int down = number / row.tiles_first;
  Tile tile;
  tile.last_begin = down * TileLast<kPatch>();
  tile.first_begin = (number - down * row.tiles_first) * TileFirst<kPatch>();
  tile.last_count = Least(TileLast<kPatch>(), row.last.size - tile.last_begin);
  tile.first_count = Least(TileFirst<kPatch>(), row.first.size - tile.first_begin);
  return tile;
}

}  // namespace vista::cuda
