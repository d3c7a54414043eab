// What is done to each pixel by itself, and to the largest of a few.
#pragma once

#include <immintrin.h>

#include <algorithm>

#include "nn/kernels.h"

namespace vista::nn {
namespace {

inline __mmask16 LanesOf(int channels, int c) {
  return c + kLanes <= channels ? 0xffff : static_cast<__mmask16>((1U << (channels - c)) - 1);
}

inline void Blend(const BlendArgs& a, const Region& g) {
  const int width = a.width >> a.upsampling;
  for (int y = g.row; y < g.row + g.rows; ++y) {
    const std::size_t row = (static_cast<std::size_t>(g.image) * a.height + y) * a.width;
    const std::size_t coarse =
        (static_cast<std::size_t>(g.image) * (a.height >> a.upsampling) + (y >> a.upsampling)) *
        width;
    for (int c = 0; c < a.channels; c += kLanes) {
      const __mmask16 lanes = LanesOf(a.channels, c);
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
        const __mmask16 lanes = LanesOf(a.channels, c);
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

}  // namespace
}  // namespace vista::nn
