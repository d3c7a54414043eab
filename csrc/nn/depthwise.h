// Convolutions of each channel by itself, 16 channels at a time.
#pragma once

#include <immintrin.h>

#include <algorithm>

#include "nn/kernels.h"
#include "nn/split.h"

namespace vista::nn {
namespace {

inline constexpr int kOutputs = 8;  // pixels of a row that are summed together

// Inputs of some outputs: the row's first pixel, and where in the row theirs begin.
struct RowInputs {
  const float* row;
  int first;
  int width;
  int pitch;
};

// kOutputs pixels of two rows of outputs, 16 channels.
struct Sums {
  __m512 upper[kOutputs];
  __m512 lower[kOutputs];
};

// Adds products of a row of inputs with a row of the kernel's weights for each row of outputs that
// the inputs are for. `kInside`: all of them lie in the row.
template <int kWidth, int kStride, bool kInside, bool kUpper, bool kLower>
__attribute__((always_inline)) inline void SumRow(const RowInputs& in, const float* upper_weights,
                                                  const float* lower_weights, int weights_pitch,
                                                  __mmask16 lanes, Sums& sums) {
  __m512 upper[kWidth];
  __m512 lower[kWidth];
#pragma GCC unroll 8
  for (int dx = 0; dx < kWidth; ++dx) {
    if constexpr (kUpper) upper[dx] = _mm512_loadu_ps(upper_weights + dx * weights_pitch);
    if constexpr (kLower) lower[dx] = _mm512_loadu_ps(lower_weights + dx * weights_pitch);
  }
  constexpr int kInputs = (kOutputs - 1) * kStride + kWidth;
#pragma GCC unroll 32
  for (int i = 0; i < kInputs; ++i) {
    // Pixels beyond the image are not read, and count as zeros.
    __mmask16 read = lanes;
    if constexpr (!kInside) {
      if (in.first + i < 0 || in.first + i >= in.width) read = 0;
    }
    const __m512 value =
        _mm512_maskz_loadu_ps(read, in.row + static_cast<std::ptrdiff_t>(in.first + i) * in.pitch);
#pragma GCC unroll 8
    for (int dx = 0; dx < kWidth; ++dx) {
      const int from = i - dx;
      if (from < 0 || from % kStride != 0 || from / kStride >= kOutputs) continue;
      __m512& above = sums.upper[from / kStride];
      __m512& below = sums.lower[from / kStride];
      if constexpr (kUpper) above = _mm512_fmadd_ps(value, upper[dx], above);
      if constexpr (kLower) below = _mm512_fmadd_ps(value, lower[dx], below);
    }
  }
}

// Any width and stride, one tap after the other.
inline void SumRowOfAny(const RowInputs& in, const float* weights, int weights_pitch, int kernel,
                        int stride, __mmask16 lanes, __m512 (&sums)[kOutputs]) {
  for (int dx = 0; dx < kernel; ++dx) {
    const __m512 w = _mm512_loadu_ps(weights + dx * weights_pitch);
    for (int j = 0; j < kOutputs; ++j) {
      const int at = in.first + j * stride + dx;
      if (at < 0 || at >= in.width) continue;
      const __m512 value =
          _mm512_maskz_loadu_ps(lanes, in.row + static_cast<std::ptrdiff_t>(at) * in.pitch);
      sums[j] = _mm512_fmadd_ps(value, w, sums[j]);
    }
  }
}

// Pixels of a row, from x, and 16 channels, from c.
__attribute__((always_inline)) inline void WriteRow(const DepthwiseArgs& a, int image, int y, int x,
                                                    int c, __mmask16 lanes,
                                                    const __m512 (&sums)[kOutputs]) {
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
  if (a.sums != nullptr)
    AddTo(a.sums + static_cast<std::size_t>(image) * a.channels + c, total, a.channels - c);
}

// kOutputs pixels, from x, of each of one or two rows, from y, and 16 channels, from c.
template <int kWidth, int kStride, int kRows, bool kInside>
inline void SumPixels(const DepthwiseArgs& a, int image, int y, int x, int c) {
  const __mmask16 lanes = Lanes(a.channels - c);
  const int pitch = (a.channels + kLanes - 1) / kLanes * kLanes;
  Sums sums;
#pragma GCC unroll 8
  for (int j = 0; j < kOutputs; ++j) sums.upper[j] = sums.lower[j] = _mm512_loadu_ps(a.bias + c);
  const int first_row = y * a.stride_height - a.pad_top;
  const auto inputs_of = [&](int dy) {
    const std::size_t row = (static_cast<std::size_t>(image) * a.height + first_row + dy) & a.ring;
    return RowInputs{a.in + row * a.width * a.channels + c, x * a.stride_width - a.pad_left,
                     a.width, a.channels};
  };
  const auto weights_of = [&](int dy) {
    return a.weights + static_cast<std::ptrdiff_t>(dy) * a.kernel_width * pitch + c;
  };
  const int kernel = a.kernel_height;
  const int down =
      kRows > 1 ? a.stride_height : kernel;  // from the upper row of inputs to the lower's
  const int end = std::min(kRows > 1 ? kernel + down : kernel, a.height - first_row);
  int dy = std::max(0, -first_row);
  for (; dy < std::min(down, end); ++dy) {
    if constexpr (kWidth == 0) {
      SumRowOfAny(inputs_of(dy), weights_of(dy), pitch, a.kernel_width, a.stride_width, lanes,
                  sums.upper);
    } else {
      SumRow<kWidth, kStride, kInside, true, false>(inputs_of(dy), weights_of(dy), nullptr, pitch,
                                                    lanes, sums);
    }
  }
  if constexpr (kRows > 1) {
    for (; dy < std::min(kernel, end); ++dy)
      SumRow<kWidth, kStride, kInside, true, true>(inputs_of(dy), weights_of(dy),
                                                   weights_of(dy - down), pitch, lanes, sums);
    for (; dy < end; ++dy)
      SumRow<kWidth, kStride, kInside, false, true>(inputs_of(dy), nullptr, weights_of(dy - down),
                                                    pitch, lanes, sums);
  }
  WriteRow(a, image, y, x, c, lanes, sums.upper);
  if constexpr (kRows > 1) WriteRow(a, image, y + 1, x, c, lanes, sums.lower);
}

// All channels of some pixels before the next pixels, which are neighbours in memory; or all pixels
// of some channels, whose weights would else be pushed out of the nearest cache by the others'.
template <int kWidth, int kStride, int kRows>
void SumRows(const DepthwiseArgs& a, int image, int y) {
  constexpr int kNearWeights = 16 << 8;  // a third of that cache
  const auto sum = [&](int x, int c) {
    const int first = x * a.stride_width - a.pad_left;
    const int last = first + (kOutputs - 1) * a.stride_width + a.kernel_width;
    const auto of_pixels = first >= 0 && last <= a.width ? SumPixels<kWidth, kStride, kRows, true>
                                                         : SumPixels<kWidth, kStride, kRows, false>;
    of_pixels(a, image, y, x, c);
  };
  if (a.kernel_height * a.kernel_width * a.channels > kNearWeights) {
    for (int c = 0; c < a.channels; c += kLanes)
      for (int x = 0; x < a.out_width; x += kOutputs) sum(x, c);
  } else {
    for (int x = 0; x < a.out_width; x += kOutputs)
      for (int c = 0; c < a.channels; c += kLanes) sum(x, c);
  }
}

// Two rows at a time where they share inputs. Sums are of pixels that always go together in float,
// and of all in double: the same however an image is cut, but for a double's rounding.
template <int kWidth, int kStride>
void SumRegion(const DepthwiseArgs& a, const Region& g) {
  const int end = g.row + g.rows;
  int y = g.row;
  if constexpr (kWidth > 0)
    if (a.stride_height < a.kernel_height)
      for (; y + 2 <= end; y += 2) SumRows<kWidth, kStride, 2>(a, g.image, y);
  for (; y < end; ++y) SumRows<kWidth, kStride, 1>(a, g.image, y);
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
