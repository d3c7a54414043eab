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

// A part's channels of pixels [begin, end) of a row of inputs, and where the first of them goes.
struct RowPart {
  const Part& part;
  int image;
  int y;
  int begin, end;
  Bf16* high;
  Bf16* low;
  int pitch;
  int room;  // channels that are written: the part's, then zeros
};

// Where a row of a part's own begins, which has pixels of 2^upsampling columns.
inline std::size_t RowStart(const ConvolveArgs& a, const RowPart& r) {
  const std::size_t height = a.height >> r.part.upsampling;
  const std::size_t width = a.width >> r.part.upsampling;
  return (r.image * height + (r.y >> r.part.upsampling)) * width * r.part.channels;
}

// Runs of `count` values, multiplied by those of a gate or as they are, and zeros up to `room`.
template <int kProducts, bool kGated>
class SplitRun {
 public:
  SplitRun(const float* gate, int count, int room)
      : gate_(gate),
        whole_(count / kBlock * kBlock),
        room_(room),
        first_(Lanes(count - whole_)),
        second_(Lanes(count - whole_ - kLanes)),
        written_(PairedLanes(room - whole_)) {}

  __attribute__((always_inline)) void operator()(const float* from, Bf16* high, Bf16* low) const {
    constexpr auto kAll = static_cast<__mmask16>(-1);
    for (int at = 0; at < whole_; at += kBlock)
      Split(from, at, kAll, kAll, high, low, static_cast<__mmask32>(-1));
    if (whole_ < room_) Split(from, whole_, first_, second_, high, low, written_);
    for (int at = whole_ + kBlock; at < room_; at += kBlock)
      Split(from, at, 0, 0, high, low, PairedLanes(room_ - at));
  }

 private:
  static constexpr int kBlock = 2 * kLanes;

  __attribute__((always_inline)) void Split(const float* from, int at, __mmask16 first,
                                            __mmask16 second, Bf16* high, Bf16* low,
                                            __mmask32 written) const {
    const auto read = [&](int place, __mmask16 lanes) {
      const __m512 x = _mm512_maskz_loadu_ps(lanes, from + place);
      if constexpr (!kGated) return x;
      return _mm512_mul_ps(x, _mm512_maskz_loadu_ps(lanes, gate_ + place));
    };
    SplitBoth<kProducts>(read(at, first), read(at + kLanes, second), high + at, low + at, written);
  }

  const float* gate_;
  int whole_;
  int room_;
  __mmask16 first_, second_;  // of the values behind the whole blocks
  __mmask32 written_;
};

template <int kProducts, bool kGated>
void SplitPixels(const float* row, const float* gate, const RowPart& r) {
  const int channels = r.part.channels;
  const int upsampling = r.part.upsampling;
  if (!kGated && upsampling == 0 && r.pitch == channels) {
    const int count = (r.end - r.begin) * channels;
    const SplitRun<kProducts, kGated> split(gate, count, count);
    return split(row + static_cast<std::size_t>(r.begin) * channels, r.high, r.low);
  }
  const SplitRun<kProducts, kGated> split(gate, channels, r.room);
  for (int x = r.begin; x < r.end; ++x) {
    const std::ptrdiff_t to = static_cast<std::ptrdiff_t>(x - r.begin) * r.pitch;
    split(row + static_cast<std::size_t>(x >> upsampling) * channels, r.high + to, r.low + to);
  }
}

template <int kProducts>
void SplitPart(const ConvolveArgs& a, const RowPart& r) {
  const float* const row = r.part.data + RowStart(a, r);
  if (r.part.gate == nullptr) return SplitPixels<kProducts, false>(row, nullptr, r);
  SplitPixels<kProducts, true>(row, r.part.gate + r.image * r.part.channels, r);
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
void SplitPlanes(const ConvolveArgs& a, const RowPart& r) {
  const int channels = r.part.channels;
  const std::size_t plane = static_cast<std::size_t>(a.height) * a.width;
  const float* const rows = r.part.data + static_cast<std::size_t>(r.image) * channels * plane +
                            static_cast<std::size_t>(r.y) * a.width;
  if (channels == 3 && r.pitch == 3)
    return SplitThreePlanes<kProducts>(rows, plane, r.begin, r.end, r.high, r.low);
  alignas(64) Bf16 highs[kLanes];
  alignas(64) Bf16 lows[kLanes];
  for (int c = 0; c < r.room; ++c) {
    for (int x = r.begin; x < r.end; x += kLanes) {
      const int count = std::min(kLanes, r.end - x);
      const __mmask16 lanes = Lanes(c < channels ? count : 0);
      Split<kProducts>(_mm512_maskz_loadu_ps(lanes, rows + c * plane + x), highs, lows);
      for (int i = 0; i < count; ++i) {
        const std::ptrdiff_t to = static_cast<std::ptrdiff_t>(x - r.begin + i) * r.pitch + c;
        r.high[to] = highs[i];
        if constexpr (kProducts > 1) r.low[to] = lows[i];
      }
    }
  }
}

// Each pixel is the largest of itself and its neighbours to the right, below and both.
template <int kProducts>
void SplitPooled(const ConvolveArgs& a, const RowPart& r) {
  const int channels = r.part.channels;
  const float* const upper = r.part.data + RowStart(a, r);
  const float* const lower =
      r.y + 1 < a.height ? upper + static_cast<std::size_t>(a.width) * channels : upper;
  for (int x = r.begin; x < r.end; ++x) {
    const std::size_t at = static_cast<std::size_t>(x) * channels;
    const int right = x + 1 < a.width ? channels : 0;
    for (int c = 0; c < r.room; c += kLanes) {
      const __mmask16 lanes = Lanes(channels - c);
      const auto largest = [&](const float* row) {
        return _mm512_max_ps(_mm512_maskz_loadu_ps(lanes, row + at + c),
                             _mm512_maskz_loadu_ps(lanes, row + at + right + c));
      };
      const std::ptrdiff_t to = static_cast<std::ptrdiff_t>(x - r.begin) * r.pitch + c;
      SplitMasked<kProducts>(_mm512_max_ps(largest(upper), largest(lower)), r.high + to, r.low + to,
                             Lanes(r.room - c));
    }
  }
}

// Of bfloat16 that are as they will be multiplied: pixels of a row, 32 channels at a time;
// `read(value, lanes)` reads those of one from its first.
template <typename Read>
void CopyPixels(const RowPart& r, const Read& read) {
  for (int c = 0; c < r.room; c += 2 * kLanes) {
    const __mmask32 lanes = PairedLanes(r.part.channels - c);
    const __mmask32 written = PairedLanes(r.room - c);
    for (int x = r.begin; x < r.end; ++x) {
      _mm512_mask_storeu_epi16(r.high + static_cast<std::ptrdiff_t>(x - r.begin) * r.pitch + c,
                               written, read(x, c, lanes));
    }
  }
}

inline void CopyPart(const ConvolveArgs& a, const RowPart& r) {
  const int channels = r.part.channels;
  const int upsampling = r.part.upsampling;
  const Bf16* const row = r.part.rounded + RowStart(a, r);
  if (upsampling == 0 && r.pitch == channels) {
    std::copy_n(row + static_cast<std::size_t>(r.begin) * channels,
                static_cast<std::size_t>(r.end - r.begin) * channels, r.high);
    return;
  }
  CopyPixels(r, [&](int x, int c, __mmask32 lanes) {
    const std::size_t pixel = x >> upsampling;
    return _mm512_maskz_loadu_epi16(lanes, row + pixel * channels + c);
  });
}

inline void CopyPooled(const ConvolveArgs& a, const RowPart& r) {
  const int channels = r.part.channels;
  const Bf16* const upper = r.part.rounded + RowStart(a, r);
  const Bf16* const lower =
      r.y + 1 < a.height ? upper + static_cast<std::size_t>(a.width) * channels : upper;
  CopyPixels(r, [&](int x, int c, __mmask32 lanes) {
    const std::size_t at = static_cast<std::size_t>(x) * channels + c;
    const int right = x + 1 < a.width ? channels : 0;
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
      const int room = p + 1 < a.part_count ? part.channels : l.room - channel;
      channel += part.channels;
      const bool rounded = part.rounded != nullptr;
      const auto split = rounded       ? (part.pooled ? CopyPooled : CopyPart)
                         : part.planes ? SplitPlanes<kProducts>
                         : part.pooled ? SplitPooled<kProducts>
                                       : SplitPart<kProducts>;
      split(a, {part, g.image, y, begin, end, high, l.low + (high - l.high), l.pitch, room});
    }
  }
  // What the last pixel's blocks of depth reach, which weights of zero multiply.
  clear(static_cast<std::ptrdiff_t>(l.in_rows) * l.row_pitch, 2 * kDepth);
}

}  // namespace
}  // namespace vista::nn
