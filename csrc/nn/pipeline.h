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
  int step;   // elements between rows
  int depth;  // blocks
  int run;    // blocks that lie one behind the other
  int jump;   // elements from the end of a run to the next
  const Bf16* left;
  const Bf16* right;  // null for one tile of columns
  int rows;
  bool once;  // whether inputs are more than the nearest cache holds, and each of one row alone
};

constexpr int kNearBlocks = 4;  // of depth, of a region's rows, that the nearest cache holds

// Goes over the blocks of depth of a row of inputs.
class Blocks {
 public:
  explicit Blocks(const Factors& f) : run_(f.run), jump_(f.jump), in_run_(f.run) {}

  [[nodiscard]] std::ptrdiff_t at() const { return at_; }

  void Next() {
    at_ += kDepth;
    if (--in_run_ > 0) return;
    at_ += jump_;
    in_run_ = run_;
  }

 private:
  int run_;
  int jump_;
  int in_run_;
  std::ptrdiff_t at_ = 0;
};

// Products of two tiles of rows and two of columns, as they are being used and as they come.
constexpr int kPitch = 2 * kTileColumns;
constexpr int kPixels = 2 * kTileRows;

// What comes before the first products.
struct Nothing {
  static constexpr int rows = 0;

  struct Rows {
    Rows(Nothing /*all*/, const float* /*products*/) {}
    void operator()(int /*begin*/, int /*end*/) const {}
    void End() const {}
  };
};

// While tiles are multiplied, the vector units do what the ones before are for. A `Finish` says
// what that is; its `Rows(finish, products)` hold what stays in registers, do it to rows [begin,
// end) at a time, in their order, until `finish.rows`, and `End()`. So what is summed up on the way
// is the same wherever regions end.
template <typename Tiles, int kProducts, typename Finish>
class Pipeline {
 public:
  explicit Pipeline(float* products) : both_(products), products_(products) {}
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;
  ~Pipeline() {
    if (finish_.rows == 0) return;
    typename Finish::Rows finish(finish_, products_);
    finish(0, finish_.rows);
    finish.End();
  }

  // Multiplies `factors`, whose products are for `finish`. `next` is what the call after this one
  // multiplies; null for none.
  void Add(Tiles& tiles, const Factors& factors, const Factors* next, const Finish& finish) {
    float* const free = products_ == both_ ? both_ + kPixels * kPitch : both_;
    if (finish_.rows == 0) {
      tiles.template Begin<kProducts>(factors);
      tiles.template Multiply<kProducts>(factors, next, free, Nothing(), nullptr);
    } else {
      tiles.template Multiply<kProducts>(factors, next, free, finish_, products_);
    }
    finish_ = finish;
    products_ = free;
  }

 private:
  float* const both_;
  float* products_;
  Finish finish_;  // of no rows, at first
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
  const auto at = [&](int tile, int row) {
    Factors f = first;
    f.high += static_cast<std::ptrdiff_t>(row) * f.step;
    f.low += static_cast<std::ptrdiff_t>(row) * f.step;
    f.rows -= row;
    f.left = TilesOf<kProducts>(w, tile);
    f.right = tile + 1 < end ? TilesOf<kProducts>(w, tile + 1) : nullptr;
    return f;
  };
  Factors f = at(begin, 0);
  for (int tile = begin; tile < end; tile += 2) {
    for (int row = 0; row < first.rows; row += kPixels) {
      const bool last_row = row + kPixels >= first.rows;
      const bool last = last_row && tile + 2 >= end;
      const Factors next = last ? f : last_row ? at(tile + 2, 0) : at(tile, row + kPixels);
      pipeline.Add(tiles, f, last ? nullptr : &next, make(row, tile, f.right == nullptr ? 1 : 2));
      f = next;
    }
  }
}

}  // namespace
}  // namespace vista::nn
