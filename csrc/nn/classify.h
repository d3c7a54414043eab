// The likeliest of many classes, without the numbers of the others in memory.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <limits>

#include "nn/activation.h"
#include "nn/kernels.h"
#include "nn/pipeline.h"
#include "nn/split.h"

namespace vista::nn {
namespace {

inline void SplitRows(const float* rows, int count, int depth, int products, Bf16* high,
                      Bf16* low) {
  const int pitch = (depth + kDepth - 1) / kDepth * kDepth;
  for (int row = 0; row < count; ++row, rows += depth, high += pitch, low += pitch) {
    for (int at = 0; at < pitch; at += kLanes) {
      const __m512 x = _mm512_maskz_loadu_ps(Lanes(depth - at), rows + at);
      if (products > 1) {
        Split<3>(x, high + at, low + at);
      } else {
        Split<1>(x, high + at, low + at);
      }
    }
  }
}

// Each lane's own, of the outputs that it has seen.
struct Lanewise {
  alignas(64) float values[kClassifyRows][kLanes];
  alignas(64) int tiles[kClassifyRows][kLanes];
};

// What looks at the logits of 16 outputs after one another: `See::operator()(logits, tile, row)`.
template <typename See>
struct LookAt {
  const float* bias = nullptr;
  See see{};
  int row = 0;
  int rows = 0;
  int tile = 0;
  int tiles = 0;

  class Rows {
   public:
    Rows(const LookAt& all, const float* products) : all_(all), products_(products) {
      for (int t = 0; t < all.tiles; ++t)
        shift_[t] = _mm512_loadu_ps(all.bias + (all.tile + t) * kTileColumns);
    }

    __attribute__((always_inline)) void operator()(int begin, int end) const {
      for (int t = 0; t < all_.tiles; ++t) {
        const float* const products = products_ + t * kTileColumns;
        for (int row = begin; row < end; ++row) {
          const __m512 x = _mm512_load_ps(products + row * kPitch);
          all_.see(_mm512_add_ps(x, shift_[t]), all_.tile + t, all_.row + row);
        }
      }
    }

    void End() const {}

   private:
    const LookAt all_;
    const float* products_;
    __m512 shift_[2];
  };
};

struct Compare {
  Lanewise* seen = nullptr;

  void operator()(__m512 x, int tile, int row) const {
    float* const best = seen->values[row];
    const __m512 before = _mm512_load_ps(best);
    const __mmask16 larger = _mm512_cmp_ps_mask(x, before, _CMP_GT_OQ);
    _mm512_store_ps(best, _mm512_max_ps(x, before));
    _mm512_mask_store_epi32(seen->tiles[row], larger, _mm512_set1_epi32(tile));
  }
};

struct AddExponentials {
  Lanewise* seen = nullptr;
  const float* largest = nullptr;

  void operator()(__m512 x, int /*tile*/, int row) const {
    float* const sums = seen->values[row];
    const __m512 e = Exp(_mm512_sub_ps(x, _mm512_set1_ps(largest[row])));
    _mm512_store_ps(sums, _mm512_add_ps(_mm512_load_ps(sums), e));
  }
};

template <typename Tiles, int kProducts>
void ClassifyPatch(const ClassifyArgs& a, const Patch& p, float* values, int* indices) {
  Lanewise seen;
  const bool compares = a.largest == nullptr;
  const float start = compares ? -std::numeric_limits<float>::infinity() : 0;
  for (int row = 0; row < (p.rows + kPixels - 1) / kPixels * kPixels; ++row) {
    _mm512_store_ps(seen.values[row], _mm512_set1_ps(start));
    _mm512_store_si512(seen.tiles[row], _mm512_set1_epi32(p.tile));
  }
  alignas(64) float products[2 * kPixels * kPitch];
  const int pitch = a.weights.depth_blocks * kDepth;
  const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(p.row) * pitch;
  const int depth = a.weights.depth_blocks;
  const Factors factors = {a.high + at, a.low + at, pitch,   depth,  depth,
                           0,           nullptr,    nullptr, p.rows, true};
  const auto look = [&]<typename See>(const See& see) {
    Tiles tiles;
    MultiplyTiles<kProducts, LookAt<See>>(tiles, products, a.weights, p.tile, p.tile + p.tiles,
                                          factors, [&](int row, int tile, int wide) {
                                            return LookAt<See>{a.weights.bias, see,  row,
                                                               kPixels,        tile, wide};
                                          });
  };
  if (compares) {
    look(Compare{&seen});
  } else {
    look(AddExponentials{&seen, a.largest + p.row});
  }
  for (int row = 0; row < p.rows; ++row) {
    const float* const lanes = seen.values[row];
    if (!compares) {
      values[row] = _mm512_reduce_add_ps(_mm512_load_ps(lanes));
      continue;
    }
    values[row] = lanes[0];
    indices[row] = seen.tiles[row][0] * kTileColumns;
    for (int lane = 1; lane < kLanes; ++lane) {
      const int index = seen.tiles[row][lane] * kTileColumns + lane;
      if (lanes[lane] > values[row] || (lanes[lane] == values[row] && index < indices[row])) {
        values[row] = lanes[lane];
        indices[row] = index;
      }
    }
  }
}

template <typename Tiles>
void Classify(const ClassifyArgs& args, const Patch& patch, float* values, int* indices) {
  if (args.products > 1) {
    ClassifyPatch<Tiles, 3>(args, patch, values, indices);
  } else {
    ClassifyPatch<Tiles, 1>(args, patch, values, indices);
  }
}

}  // namespace
}  // namespace vista::nn
