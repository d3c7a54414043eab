// Products of tiles, and what is done with them meanwhile.
#pragma once

#include <immintrin.h>

#include "nn/kernels.h"

namespace vista::nn {
namespace {

// What two tiles of rows and one or two of columns are made of.
struct Factors {
  const Bf16* high;
  const Bf16* low;
  int step;            // elements between rows
  const int* offsets;  // of each block of depth; null for one behind the other
  int depth;           // blocks
  const Bf16* left;
  const Bf16* right;  // null for one tile of columns
  int rows;
};

// Products of two tiles of rows and two of columns, as they are being used and as they come.
constexpr int kPitch = 2 * kTileColumns;
constexpr int kPixels = 2 * kTileRows;

// While tiles are multiplied, the vector units do what the ones before are for: `Finish` of theirs,
// (products, first row, end), some rows at a time.
template <typename Tiles, int kProducts, typename Finish>
class Pipeline {
 public:
  explicit Pipeline(float* products) : both_(products), products_(products) {}
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  ~Pipeline() {
    if (!waiting_) return;
    for (int part = 0; part < parts_; ++part) FinishPart(part);
  }

  void Add(Tiles& tiles, const Factors& factors, const Finish& finish) {
    float* const free = products_ == both_ ? both_ + kPixels * kPitch : both_;
    tiles.template Multiply<kProducts>(factors, free, [this](int part, int parts) {
      SetParts(parts);
      if (waiting_) FinishPart(part);
    });
    finish_ = finish;
    waiting_ = true;
    products_ = free;
  }

 private:
  // What begins a few rows costs as much as some of them.
  static constexpr int kFewestRows = kProducts == 1 ? 16 : 1;
  static constexpr int kOne = 1 << 20;  // row, of a fraction

  void SetParts(int parts) {
    if (parts == parts_) return;
    parts_ = parts;
    rows_per_part_ = (kPixels * kOne + parts - 1) / parts;
  }

  // The same rows together always: what is summed up on the way is then the same wherever regions
  // end.
  void FinishPart(int part) {
    const bool last = part + 1 == parts_;
    const int end = last ? kPixels : (part + 1) * rows_per_part_ / kOne;
    if (!last && end - finished_ < kFewestRows) return;
    finish_(products_, finished_, end);
    finished_ = last ? 0 : end;
  }

  float* const both_;
  float* products_;
  bool waiting_ = false;
  int parts_ = 0;
  int rows_per_part_ = 0;
  int finished_ = 0;  // rows
  Finish finish_;
};

template <int kProducts>
const Bf16* TilesOf(const Weights& w, int tile) {
  constexpr int kTile = (kProducts > 1 ? 2 : 1) * kTileColumns * kDepth;
  return w.tiles + static_cast<std::size_t>(tile) * w.depth_blocks * kTile;
}

// Tiles [begin, end) of a matrix of weights times rows of inputs, of which `first` says where the
// first is: `make(row, tile, tiles)` gives the Finish of products of two tiles of rows.
template <int kProducts, typename Finish, typename Tiles, typename Make>
void MultiplyTiles(Tiles& tiles, float* products, const Weights& w, int begin, int end,
                   const Factors& first, const Make& make) {
  Pipeline<Tiles, kProducts, Finish> pipeline(products);
  Factors f = first;
  for (int tile = begin; tile < end; tile += 2) {
    f.left = TilesOf<kProducts>(w, tile);
    f.right = tile + 1 < end ? TilesOf<kProducts>(w, tile + 1) : nullptr;
    for (int row = 0; row < first.rows; row += kPixels) {
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(row) * f.step;
      f.high = first.high + at;
      f.low = first.low + at;
      f.rows = first.rows - row;
      pipeline.Add(tiles, f, make(row, tile, f.right == nullptr ? 1 : 2));
    }
  }
}

}  // namespace
}  // namespace vista::nn
