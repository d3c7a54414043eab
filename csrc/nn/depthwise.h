// Convolutions of each channel by itself, 16 channels at a time.
#pragma once

#include <immintrin.h>

#include <algorithm>

#include "nn/kernels.h"
#include "nn/split.h"

namespace vista::nn {
namespace {

inline constexpr int kOutputs = 8;  // pixels that are summed together

// Outputs x to x + kOutputs of one row and 16 channels. `kInside`: all their inputs lie in the row.
template <int kWidth, int kStride, bool kInside>
inline void SumRow(const float* row, const float* weights, int weights_pitch, int x, int width,
                   int pad, int pitch, __mmask16 lanes, __m512 (&sums)[kOutputs]) {
  __m512 w[kWidth];
#pragma GCC unroll 8
  for (int dx = 0; dx < kWidth; ++dx) w[dx] = _mm512_loadu_ps(weights + dx * weights_pitch);
  constexpr int kInputs = (kOutputs - 1) * kStride + kWidth;
  const int first = x * kStride - pad;
#pragma GCC unroll 32
  for (int i = 0; i < kInputs; ++i) {
    __m512 value;
    if constexpr (kInside) {
      value = _mm512_maskz_loadu_ps(lanes, row + static_cast<std::ptrdiff_t>(first + i) * pitch);
    } else {
      if (first + i < 0 || first + i >= width) continue;
      value = _mm512_maskz_loadu_ps(lanes, row + static_cast<std::ptrdiff_t>(first + i) * pitch);
    }
#pragma GCC unroll 8
    for (int dx = 0; dx < kWidth; ++dx) {
      const int from = i - dx;
      if (from >= 0 && from % kStride == 0 && from / kStride < kOutputs)
        sums[from / kStride] = _mm512_fmadd_ps(value, w[dx], sums[from / kStride]);
    }
  }
}

// Any width and stride, one tap after the other.
inline void SumRowOfAny(const float* row, const float* weights, int weights_pitch, int kernel,
                        int stride, int x, int width, int pad, int pitch, __mmask16 lanes,
                        __m512 (&sums)[kOutputs]) {
  for (int dx = 0; dx < kernel; ++dx) {
    const __m512 w = _mm512_loadu_ps(weights + dx * weights_pitch);
    for (int j = 0; j < kOutputs; ++j) {
      const int at = (x + j) * stride - pad + dx;
      if (at < 0 || at >= width) continue;
      const __m512 value =
          _mm512_maskz_loadu_ps(lanes, row + static_cast<std::ptrdiff_t>(at) * pitch);
      sums[j] = _mm512_fmadd_ps(value, w, sums[j]);
    }
  }
}

// kOutputs pixels of a row, from x, and 16 channels, from c; gives their sum.
template <int kWidth, int kStride>
inline __m512 SumPixels(const DepthwiseArgs& a, int image, int y, int x, int c) {
  const __mmask16 lanes =
      c + kLanes <= a.channels ? 0xffff : static_cast<__mmask16>((1U << (a.channels - c)) - 1);
  const int weights_pitch = (a.channels + kLanes - 1) / kLanes * kLanes;
  const float* in = a.in + static_cast<std::size_t>(image) * a.height * a.width * a.channels + c;
  __m512 sums[kOutputs];
#pragma GCC unroll 8
  for (int j = 0; j < kOutputs; ++j) sums[j] = _mm512_loadu_ps(a.bias + c);
  const int first_row = y * a.stride_height - a.pad_top;
  const int top = std::max(0, -first_row);
  const int bottom = std::min(a.kernel_height, a.height - first_row);
  const int first = x * a.stride_width - a.pad_left;
  const int last = first + (kOutputs - 1) * a.stride_width + a.kernel_width;
  const bool inside = first >= 0 && last <= a.width;
  for (int dy = top; dy < bottom; ++dy) {
    const float* row = in + static_cast<std::size_t>(first_row + dy) * a.width * a.channels;
    const float* weights =
        a.weights + static_cast<std::ptrdiff_t>(dy) * a.kernel_width * weights_pitch + c;
    if constexpr (kWidth == 0) {
      SumRowOfAny(row, weights, weights_pitch, a.kernel_width, a.stride_width, x, a.width,
                  a.pad_left, a.channels, lanes, sums);
    } else if (inside) {
      SumRow<kWidth, kStride, true>(row, weights, weights_pitch, x, a.width, a.pad_left, a.channels,
                                    lanes, sums);
    } else {
      SumRow<kWidth, kStride, false>(row, weights, weights_pitch, x, a.width, a.pad_left,
                                     a.channels, lanes, sums);
    }
  }
  const std::size_t at =
      ((static_cast<std::size_t>(image) * a.out_height + y) * a.out_width + x) * a.channels + c;
  const int count = std::min(kOutputs, a.out_width - x);
  __m512 total = _mm512_setzero_ps();
  // A bound that is known keeps the sums in registers.
#pragma GCC unroll 8
  for (int j = 0; j < kOutputs; ++j) {
    if (j >= count) break;
    __m512 value = sums[j];
    if (a.relu) value = _mm512_max_ps(value, _mm512_setzero_ps());
    total = _mm512_add_ps(total, value);
    Store(value, a.out, at + static_cast<std::size_t>(j) * a.channels, lanes);
  }
  return total;
}

// All channels of some pixels before the next pixels: neighbours in memory. Sums are of pixels that
// always go together in float, and of all in double: the same however an image is cut, but for a
// double's rounding.
template <int kWidth, int kStride>
void SumRegion(const DepthwiseArgs& a, const Region& g) {
  for (int y = g.row; y < g.row + g.rows; ++y) {
    for (int x = 0; x < a.out_width; x += kOutputs) {
      for (int c = 0; c < a.channels; c += kLanes) {
        const __m512 sum = SumPixels<kWidth, kStride>(a, g.image, y, x, c);
        if (a.sums != nullptr)
          AddTo(a.sums + static_cast<std::size_t>(g.image) * a.channels + c, sum, a.channels - c);
      }
    }
  }
}

inline void Depthwise(const DepthwiseArgs& a, const Region& g) {
  const auto sum = a.kernel_width == 3 && a.stride_width == 1   ? SumRegion<3, 1>
                   : a.kernel_width == 3 && a.stride_width == 2 ? SumRegion<3, 2>
                   : a.kernel_width == 5 && a.stride_width == 1 ? SumRegion<5, 1>
                   : a.kernel_width == 7 && a.stride_width == 1 ? SumRegion<7, 1>
                                                                : SumRegion<0, 0>;
  sum(a, g);
}

}  // namespace
}  // namespace vista::nn
