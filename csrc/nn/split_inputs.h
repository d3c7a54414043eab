// The inputs of a region of a convolution, gathered and as bfloat16.
#pragma once

#include <immintrin.h>

#include <algorithm>

#include "nn/kernels.h"
#include "nn/scratch.h"
#include "nn/split.h"

namespace vista::nn {
namespace {

inline void Clear(Bf16* begin, std::size_t count) {
  for (std::size_t at = 0; at < count; at += kLanes) {
    _mm256_mask_storeu_epi16(begin + at, Lanes(static_cast<int>(count - at)),
                             _mm256_setzero_si256());
  }
}

// Pixels [begin, end) of an input row, one part of their channels.
template <int kProducts>
void SplitPart(const ConvolveArgs& a, const Part& part, int image, int y, int begin, int end,
               Bf16* high, Bf16* low, int pitch) {
  const int height = a.height >> part.upsampling;
  const int width = a.width >> part.upsampling;
  const float* gate = part.gate == nullptr ? nullptr : part.gate + image * part.channels;
  const float* row =
      part.data + (static_cast<std::size_t>(image) * height + (y >> part.upsampling)) *
                      static_cast<std::size_t>(width) * part.channels;
  if (gate == nullptr && part.upsampling == 0 && pitch == part.channels) {
    const float* from = row + static_cast<std::size_t>(begin) * part.channels;
    const int count = (end - begin) * part.channels;
    int at = 0;
    for (; at + kLanes <= count; at += kLanes)
      Split<kProducts>(_mm512_loadu_ps(from + at), high + at, low + at);
    if (at < count) {
      const __mmask16 lanes = Lanes(count - at);
      SplitMasked<kProducts>(_mm512_maskz_loadu_ps(lanes, from + at), high + at, low + at, lanes);
    }
    return;
  }
  for (int c = 0; c < part.channels; c += kLanes) {
    const __mmask16 lanes = Lanes(part.channels - c);
    const __m512 scale =
        gate == nullptr ? _mm512_set1_ps(1) : _mm512_maskz_loadu_ps(lanes, gate + c);
    for (int x = begin; x < end; ++x) {
      const float* from = row + static_cast<std::size_t>(x >> part.upsampling) * part.channels + c;
      const std::ptrdiff_t to = static_cast<std::ptrdiff_t>(x - begin) * pitch + c;
      SplitMasked<kProducts>(_mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, from), scale), high + to,
                             low + to, lanes);
    }
  }
}

// Planes of three channels to pixels, 16 at a time.
template <int kProducts>
void SplitThreePlanes(const float* row, std::size_t plane, int begin, int end, Bf16* high,
                      Bf16* low) {
  // Vector v of three is of the lanes 16 v + i of (pixel, channel): from the first two planes, then
  // the third.
  alignas(64) static constexpr auto kPlaces = [] {
    struct {
      int of_two[3][kLanes];
      std::uint16_t is_third[3];
      int of_third[3][kLanes];
    } places{};
    for (int v = 0; v < 3; ++v) {
      for (int i = 0; i < kLanes; ++i) {
        const int pixel = (v * kLanes + i) / 3;
        const int channel = (v * kLanes + i) % 3;
        places.of_two[v][i] = pixel + (channel == 1 ? kLanes : 0);
        places.of_third[v][i] = pixel;
        if (channel == 2) places.is_third[v] |= static_cast<std::uint16_t>(1U << i);
      }
    }
    return places;
  }();
  for (int x = begin; x < end; x += kLanes) {
    const int count = std::min(kLanes, end - x);
    const __mmask16 lanes = Lanes(count);
    const __m512 first = _mm512_maskz_loadu_ps(lanes, row + x);
    const __m512 second = _mm512_maskz_loadu_ps(lanes, row + plane + x);
    const __m512 third = _mm512_maskz_loadu_ps(lanes, row + 2 * plane + x);
    for (int v = 0; v < 3; ++v) {
      const __m512 two =
          _mm512_permutex2var_ps(first, _mm512_loadu_si512(kPlaces.of_two[v]), second);
      const __m512 all = _mm512_mask_permutexvar_ps(two, kPlaces.is_third[v],
                                                    _mm512_loadu_si512(kPlaces.of_third[v]), third);
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(x - begin) * 3 + v * kLanes;
      SplitMasked<kProducts>(all, high + at, low + at, Lanes(3 * count - v * kLanes));
    }
  }
}

template <int kProducts>
void SplitPlanes(const ConvolveArgs& a, const Part& part, int image, int y, int begin, int end,
                 Bf16* high, Bf16* low, int pitch) {
  const std::size_t plane = static_cast<std::size_t>(a.height) * a.width;
  const float* const rows = part.data + static_cast<std::size_t>(image) * part.channels * plane +
                            static_cast<std::size_t>(y) * a.width;
  if (part.channels == 3 && pitch == 3)
    return SplitThreePlanes<kProducts>(rows, plane, begin, end, high, low);
  alignas(64) Bf16 highs[kLanes];
  alignas(64) Bf16 lows[kLanes];
  for (int c = 0; c < part.channels; ++c) {
    const float* row = rows + c * plane;
    for (int x = begin; x < end; x += kLanes) {
      const int count = std::min(kLanes, end - x);
      Split<kProducts>(_mm512_maskz_loadu_ps(Lanes(count), row + x), highs, lows);
      for (int i = 0; i < count; ++i) {
        const std::ptrdiff_t to = static_cast<std::ptrdiff_t>(x - begin + i) * pitch + c;
        high[to] = highs[i];
        if constexpr (kProducts > 1) low[to] = lows[i];
      }
    }
  }
}

// Pixels of a row of which each is the largest of itself and its neighbours to the right, below and
// both.
template <int kProducts>
void SplitPooled(const ConvolveArgs& a, const Part& part, int image, int y, int begin, int end,
                 Bf16* high, Bf16* low, int pitch) {
  const std::size_t row_values = static_cast<std::size_t>(a.width) * part.channels;
  const float* const upper =
      part.data + (static_cast<std::size_t>(image) * a.height + y) * row_values;
  const float* const lower = y + 1 < a.height ? upper + row_values : upper;
  for (int x = begin; x < end; ++x) {
    const std::size_t at = static_cast<std::size_t>(x) * part.channels;
    const int right = x + 1 < a.width ? part.channels : 0;
    for (int c = 0; c < part.channels; c += kLanes) {
      const __mmask16 lanes = Lanes(part.channels - c);
      const auto largest = [&](const float* row) {
        return _mm512_max_ps(_mm512_maskz_loadu_ps(lanes, row + at + c),
                             _mm512_maskz_loadu_ps(lanes, row + at + right + c));
      };
      const std::ptrdiff_t to = static_cast<std::ptrdiff_t>(x - begin) * pitch + c;
      SplitMasked<kProducts>(_mm512_max_ps(largest(upper), largest(lower)), high + to, low + to,
                             lanes);
    }
  }
}

// Of bfloat16 that are as they will be multiplied: pixels of a row, 32 channels at a time;
// `read(value, lanes)` reads those of one from its first.
template <typename Read>
void CopyPixels(int channels, int begin, int end, Bf16* to, int pitch, const Read& read) {
  for (int c = 0; c < channels; c += 2 * kLanes) {
    const __mmask32 lanes = PairedLanes(channels - c);
    for (int x = begin; x < end; ++x) {
      _mm512_mask_storeu_epi16(to + static_cast<std::ptrdiff_t>(x - begin) * pitch + c, lanes,
                               read(x, c, lanes));
    }
  }
}

inline void CopyPart(const ConvolveArgs& a, const Part& part, int image, int y, int begin, int end,
                     Bf16* to, int pitch) {
  const int height = a.height >> part.upsampling;
  const int width = a.width >> part.upsampling;
  const Bf16* const row =
      part.rounded + (static_cast<std::size_t>(image) * height + (y >> part.upsampling)) *
                         static_cast<std::size_t>(width) * part.channels;
  if (part.upsampling == 0 && pitch == part.channels) {
    std::copy_n(row + static_cast<std::size_t>(begin) * pitch,
                static_cast<std::size_t>(end - begin) * pitch, to);
    return;
  }
  CopyPixels(part.channels, begin, end, to, pitch, [&](int x, int c, __mmask32 lanes) {
    const std::size_t pixel = x >> part.upsampling;
    return _mm512_maskz_loadu_epi16(lanes, row + pixel * part.channels + c);
  });
}

inline void CopyPooled(const ConvolveArgs& a, const Part& part, int image, int y, int begin,
                       int end, Bf16* to, int pitch) {
  const std::size_t row_values = static_cast<std::size_t>(a.width) * part.channels;
  const Bf16* const upper =
      part.rounded + (static_cast<std::size_t>(image) * a.height + y) * row_values;
  const Bf16* const lower = y + 1 < a.height ? upper + row_values : upper;
  CopyPixels(part.channels, begin, end, to, pitch, [&](int x, int c, __mmask32 lanes) {
    const std::size_t at = static_cast<std::size_t>(x) * part.channels + c;
    const int right = x + 1 < a.width ? part.channels : 0;
    const auto largest = [&](const Bf16* row) {
      return _mm512_max_epi16(Sorted(_mm512_maskz_loadu_epi16(lanes, row + at)),
                              Sorted(_mm512_maskz_loadu_epi16(lanes, row + at + right)));
    };
    return Sorted(_mm512_max_epi16(largest(upper), largest(lower)));
  });
}

// The region's inputs as bfloat16, zeros where the kernel reaches past the image.
template <int kProducts>
void SplitInputs(const ConvolveArgs& a, const Region& g, const Scratch& l) {
  const auto clear = [&](std::ptrdiff_t at, std::size_t count) {
    Clear(l.high + at, count);
    if constexpr (kProducts > 1) Clear(l.low + at, count);
  };
  const int first_column = g.column * a.stride_width - a.pad_left;
  const int begin = std::max(0, first_column);
  const int end = std::min(a.width, first_column + l.in_columns);
  for (int row = 0; row < l.in_rows; ++row) {
    const int y = g.row * a.stride_height - a.pad_top + row;
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(row) * l.row_pitch;
    if (y < 0 || y >= a.height || end <= begin) {
      clear(at, l.row_pitch);
      continue;
    }
    const std::ptrdiff_t inside = static_cast<std::ptrdiff_t>(begin - first_column) * l.pitch;
    const std::ptrdiff_t behind = static_cast<std::ptrdiff_t>(end - first_column) * l.pitch;
    clear(at, inside);
    clear(at + behind, l.row_pitch - behind);
    int channel = 0;
    for (int p = 0; p < a.part_count; ++p) {
      const Part& part = a.parts[p];
      Bf16* const high = l.high + at + inside + channel;
      channel += part.channels;
      if (part.rounded != nullptr) {
        const auto copy = part.pooled ? CopyPooled : CopyPart;
        copy(a, part, g.image, y, begin, end, high, l.pitch);
        continue;
      }
      const auto split = part.planes   ? SplitPlanes<kProducts>
                         : part.pooled ? SplitPooled<kProducts>
                                       : SplitPart<kProducts>;
      split(a, part, g.image, y, begin, end, high, l.low + (high - l.high), l.pitch);
    }
    if (const int tail = l.pitch - a.channels; tail > 0)
      for (int x = begin; x < end; ++x)
        clear(at + inside + static_cast<std::ptrdiff_t>(x - begin) * l.pitch + a.channels, tail);
  }
  // What the last pixel's blocks of depth reach, which weights of zero multiply.
  clear(static_cast<std::ptrdiff_t>(l.in_rows) * l.row_pitch, 2 * kDepth);
}

}  // namespace
}  // namespace vista::nn
