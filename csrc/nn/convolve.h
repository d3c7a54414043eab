// The convolution of a region, for kernels over vectors of 16 and a way to multiply tiles.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <type_traits>

#include "nn/activation.h"
#include "nn/kernels.h"
#include "nn/pipeline.h"
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
      const auto split = part.planes   ? SplitPlanes<kProducts>
                         : part.pooled ? SplitPooled<kProducts>
                                       : SplitPart<kProducts>;
      split(a, part, g.image, y, begin, end, l.high + at + inside + channel,
            l.low + at + inside + channel, l.pitch);
      channel += part.channels;
    }
    if (const int tail = l.pitch - a.channels; tail > 0)
      for (int x = begin; x < end; ++x)
        clear(at + inside + static_cast<std::ptrdiff_t>(x - begin) * l.pitch + a.channels, tail);
  }
  // What the last pixel's blocks of depth reach, which weights of zero multiply.
  clear(static_cast<std::ptrdiff_t>(l.in_rows) * l.row_pitch, 2 * kDepth);
}

inline __m512 Residual(const ConvolveArgs& a, int image, std::size_t pixel, int c,
                       __mmask16 lanes) {
  const Part& part = a.parts[0];
  const __m512 x = _mm512_maskz_loadu_ps(lanes, part.data + pixel * part.channels + c);
  if (part.gate == nullptr) return x;
  return _mm512_mul_ps(x, _mm512_maskz_loadu_ps(lanes, part.gate + image * part.channels + c));
}

// Products become outputs.
template <typename Activate>
struct WriteOut {
  const ConvolveArgs* args;
  const Weights* weights;
  const Activate* activate;
  const float* plus;  // of the row's first pixel; null for none
  int image;
  std::size_t row;  // the row's first pixel in the output
  int column;
  int count;  // of pixels
  int tile;
  int tiles;

  __attribute__((always_inline)) void operator()(const float* products, int begin, int end) const {
    const ConvolveArgs& a = *args;
    const int outputs = weights->outputs;
    end = std::min(end, count);
    for (int t = 0; t < tiles; ++t) {
      const int c = (tile + t) * kTileColumns;
      const __mmask16 lanes = Lanes(outputs - c);
      const __m512 bias = _mm512_loadu_ps(weights->bias + c);
      const __m512 scale = a.scale == nullptr
                               ? _mm512_set1_ps(1)
                               : _mm512_maskz_loadu_ps(lanes, a.scale + image * outputs + c);
      __m512 sum = _mm512_setzero_ps();
      for (int i = begin; i < end; ++i) {
        const std::size_t pixel = row + column + i;
        const std::size_t at = pixel * outputs + c;
        __m512 x = _mm512_add_ps(_mm512_load_ps(products + i * kPitch + t * kTileColumns), bias);
        x = _mm512_mul_ps(x, scale);
        if (plus != nullptr) {
          const auto from = static_cast<std::size_t>((column + i) >> a.plus_upsampling);
          x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(lanes, plus + from * outputs + c));
        }
        if (a.residual) x = _mm512_add_ps(x, Residual(a, image, pixel, c, lanes));
        x = (*activate)(x);
        sum = _mm512_add_ps(sum, x);
        _mm512_mask_storeu_ps(a.out + at, lanes, x);
      }
      if (a.sums != nullptr)
        AddTo(a.sums + static_cast<std::size_t>(image) * outputs + c, sum, outputs - c);
    }
  }
};

// Products become what the second weights multiply.
template <int kProducts, typename Activate>
struct WriteHidden {
  const Weights* weights;
  const Scratch* scratch;
  const Activate* activate;
  int pixel;
  int tile;

  __attribute__((always_inline)) void operator()(const float* products, int begin, int end) const {
    const int c = tile * kTileColumns;
    // The last tile may have none to its right: weights of zero then multiply zeros.
    const bool two = tile + 1 < weights->column_tiles;
    const __m512 left_bias = _mm512_loadu_ps(weights->bias + c);
    const __m512 right_bias =
        two ? _mm512_loadu_ps(weights->bias + c + kTileColumns) : _mm512_setzero_ps();
    const auto used = static_cast<__mmask16>(two ? 0xffff : 0);
    for (int i = begin; i < end; ++i) {
      const float* from = products + i * kPitch;
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(pixel + i) * scratch->hidden_pitch + c;
      const __m512 right = _mm512_maskz_load_ps(used, from + kTileColumns);
      SplitInterleaved<kProducts>((*activate)(_mm512_add_ps(_mm512_load_ps(from), left_bias)),
                                  (*activate)(_mm512_add_ps(right, right_bias)),
                                  scratch->hidden_high + at, scratch->hidden_low + at);
    }
  }
};

template <typename Write>
void WithActivation(Activation activation, const Write& write) {
  switch (activation) {
    case Activation::kNone:
      return write([](__m512 x) { return x; });
    case Activation::kRelu:
      return write([](__m512 x) { return _mm512_max_ps(x, _mm512_setzero_ps()); });
    case Activation::kGelu:
      return write(Gelu());
    case Activation::kSigmoid:
      return write([](__m512 x) { return Sigmoid(x); });
  }
}

// Of what is added to a row of outputs, the first pixel's.
inline const float* PlusRow(const ConvolveArgs& a, int image, int y, int outputs) {
  const std::size_t height = a.out_height >> a.plus_upsampling;
  const std::size_t width = a.out_width >> a.plus_upsampling;
  return a.plus + (image * height + (y >> a.plus_upsampling)) * width * outputs;
}

// The outputs of one row of the region, by weights over `first`, the factors of its first pixel.
template <typename Tiles, int kProducts>
void MultiplyOut(const ConvolveArgs& a, const Region& g, const Scratch& l, const Weights& w,
                 int row, Factors factors, Tiles& tiles) {
  const int y = g.row + row;
  const std::size_t first = (static_cast<std::size_t>(g.image) * a.out_height + y) *
                            static_cast<std::size_t>(a.out_width);
  const float* const plus = a.plus == nullptr ? nullptr : PlusRow(a, g.image, y, w.outputs);
  WithActivation(w.activation, [&](const auto& activate) {
    using Write = WriteOut<std::remove_cvref_t<decltype(activate)>>;
    Pipeline<Tiles, kProducts, Write> pipeline(l.products);
    Factors f = factors;
    for (int tile = 0; tile < w.column_tiles; tile += 2) {
      f.left = TilesOf<kProducts>(w, tile);
      f.right = TilesOf<kProducts>(w, tile + 1);
      for (int x = 0; x < g.columns; x += kPixels) {
        const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(x) * f.step;
        f.high = factors.high + at;
        f.low = factors.low + at;
        f.rows = g.columns - x;
        pipeline.Add(tiles, f,
                     Write{&a, &w, &activate, plus, g.image, first, g.column + x,
                           std::min(kPixels, f.rows), tile, f.right == nullptr ? 1 : 2});
      }
    }
  });
}

template <typename Tiles, int kProducts>
void MultiplyHidden(const Region& g, const Scratch& l, const Weights& w, Factors factors,
                    Tiles& tiles) {
  WithActivation(w.activation, [&](const auto& activate) {
    using Write = WriteHidden<kProducts, std::remove_cvref_t<decltype(activate)>>;
    Pipeline<Tiles, kProducts, Write> pipeline(l.products);
    Factors f = factors;
    for (int tile = 0; tile < w.column_tiles; tile += 2) {
      f.left = TilesOf<kProducts>(w, tile);
      f.right = TilesOf<kProducts>(w, tile + 1);
      for (int x = 0; x < g.columns; x += kPixels) {
        const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(x) * f.step;
        f.high = factors.high + at;
        f.low = factors.low + at;
        f.rows = g.columns - x;
        pipeline.Add(tiles, f, Write{&w, &l, &activate, x, tile});
      }
    }
  });
}

// `Tiles::Multiply<products>(factors, out, aside)`: out [32, 32] = inputs [rows, 32 * depth] x
// weights of one or two column tiles; `aside(part, parts)` is called now and then on the way.
template <typename Tiles, int kProducts>
void ConvolveRegion(const ConvolveArgs& a, const Region& g, std::uint8_t* scratch) {
  const Scratch l = LayOut(a, g, scratch);
  SplitInputs<kProducts>(a, g, l);
  const int per_row = a.first.depth_blocks / a.kernel_height;
  for (int k = 0; k < a.first.depth_blocks; ++k)
    l.offsets[k] = k / per_row * l.row_pitch + k % per_row * kDepth;
  const bool chained = a.second.column_tiles > 0;
  Tiles tiles;
  for (int row = 0; row < g.rows; ++row) {
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(row) * a.stride_height * l.row_pitch;
    const Factors inputs = {
        l.high + at, l.low + at, a.stride_width * l.pitch, l.offsets, a.first.depth_blocks, nullptr,
        nullptr,     0};
    if (!chained) {
      MultiplyOut<Tiles, kProducts>(a, g, l, a.first, row, inputs, tiles);
      continue;
    }
    MultiplyHidden<Tiles, kProducts>(g, l, a.first, inputs, tiles);
    const Factors hidden = {l.hidden_high,         l.hidden_low, l.hidden_pitch, nullptr,
                            a.second.depth_blocks, nullptr,      nullptr,        0};
    MultiplyOut<Tiles, kProducts>(a, g, l, a.second, row, hidden, tiles);
  }
}

template <typename Tiles>
void Convolve(const ConvolveArgs& args, const Region& region, std::uint8_t* scratch) {
  if (args.products > 1) {
    ConvolveRegion<Tiles, 3>(args, region, scratch);
  } else {
    ConvolveRegion<Tiles, 1>(args, region, scratch);
  }
}

}  // namespace
}  // namespace vista::nn
