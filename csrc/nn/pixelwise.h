// What is done to each pixel by itself, and to the largest of a few.
#pragma once

#include <immintrin.h>

#include <algorithm>

#include "nn/kernels.h"
#include "nn/split.h"

namespace vista::nn {
namespace {

inline void Blend(const BlendArgs& a, const Region& g) {
  const int width = a.width >> a.upsampling;
  for (int y = g.row; y < g.row + g.rows; ++y) {
    const std::size_t row = (static_cast<std::size_t>(g.image) * a.height + y) * a.width;
    const std::size_t coarse =
        (static_cast<std::size_t>(g.image) * (a.height >> a.upsampling) + (y >> a.upsampling)) *
        width;
    for (int c = 0; c < a.channels; c += kLanes) {
      const __mmask16 lanes = Lanes(a.channels - c);
      const __m512 gate = a.gate == nullptr
                              ? _mm512_set1_ps(1)
                              : _mm512_maskz_loadu_ps(lanes, a.gate + g.image * a.channels + c);
      for (int x = 0; x < a.width; ++x) {
        const std::size_t at = (row + x) * a.channels + c;
        __m512 value = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, a.in + at), gate);
        if (a.other != nullptr) {
          const std::size_t from = (coarse + (x >> a.upsampling)) * a.channels + c;
          value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(lanes, a.other + from));
        }
        _mm512_mask_storeu_ps(a.out + at, lanes, value);
      }
    }
  }
}

inline void MaxPool(const PoolArgs& a, const Region& g) {
  const float* const image =
      a.in + static_cast<std::size_t>(g.image) * a.height * a.width * a.channels;
  for (int y = g.row; y < g.row + g.rows; ++y) {
    const int first_row = y * a.stride_height - a.pad_top;
    const int top = std::max(0, first_row);
    const int bottom = std::min(a.height, first_row + a.kernel_height);
    float* out =
        a.out + (static_cast<std::size_t>(g.image) * a.out_height + y) * a.out_width * a.channels;
    for (int x = 0; x < a.out_width; ++x, out += a.channels) {
      const int first = x * a.stride_width - a.pad_left;
      const int left = std::max(0, first);
      const int right = std::min(a.width, first + a.kernel_width);
      for (int c = 0; c < a.channels; c += kLanes) {
        const __mmask16 lanes = Lanes(a.channels - c);
        __m512 most = _mm512_set1_ps(-__builtin_inff());
        for (int row = top; row < bottom; ++row) {
          for (int column = left; column < right; ++column) {
            const std::size_t at =
                (static_cast<std::size_t>(row) * a.width + column) * a.channels + c;
            most = _mm512_max_ps(most, _mm512_maskz_loadu_ps(lanes, image + at));
          }
        }
        _mm512_mask_storeu_ps(out + c, lanes, most);
      }
    }
  }
}

// Of `count` runs of values, of which each second one is left out, the others side by side. So
// many are one vector or a part of it.
inline void KeepEachSecond(const float* from, int run, int count, float* to) {
  alignas(64) int places[kLanes];
  for (int i = 0; i < kLanes; ++i) places[i] = i / run * 2 * run + i % run;
  const __m512i kept = _mm512_load_si512(places);
  for (int left = count * run; left > 0; left -= kLanes, from += 2 * kLanes, to += kLanes) {
    const int read = 2 * left - run;
    const __m512 both =
        _mm512_permutex2var_ps(_mm512_maskz_loadu_ps(Lanes(read), from), kept,
                               _mm512_maskz_loadu_ps(Lanes(read - kLanes), from + kLanes));
    _mm512_mask_storeu_ps(to, Lanes(left), both);
  }
}

inline void DepthToSpace(const DepthToSpaceArgs& a, const Region& g) {
  const int run = a.block * a.channels;  // neighbours before and after
  const int squares = a.width / a.block;
  const std::size_t row_values = static_cast<std::size_t>(a.width) * run;
  for (int y = g.row; y < g.row + g.rows; ++y) {
    const std::size_t row = static_cast<std::size_t>(g.image) * (a.height / a.block) + y / a.block;
    const float* from = a.in + row * row_values + static_cast<std::size_t>(y % a.block) * run;
    float* to = a.out + (static_cast<std::size_t>(g.image) * a.height + y) * a.width * a.channels;
    if (a.block == 2 && kLanes % run == 0) {
      KeepEachSecond(from, run, squares, to);
      continue;
    }
    for (int x = 0; x < squares; ++x, from += run * a.block, to += run) std::copy_n(from, run, to);
  }
}

}  // namespace
}  // namespace vista::nn
