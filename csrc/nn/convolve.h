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
#include "nn/split_inputs.h"

namespace vista::nn {
namespace {

// Products become outputs.
template <typename Activate>
struct WriteOut {
  const ConvolveArgs* args;
  const Weights* weights;
  const Activate* activate;
  const float* plus;  // of the row's first pixel; null for none
  int image;
  std::size_t row;      // the row's first pixel
  std::size_t out_row;  // where it lies in the output
  int column;
  int count;  // of pixels
  int tile;
  int tiles;

  __attribute__((always_inline)) void operator()(const float* products, int begin, int end) const {
    const ConvolveArgs& a = *args;
    end = std::min(end, count);
    if (a.scale == nullptr && plus == nullptr && a.sums == nullptr) {
      Write<false>(products, begin, end);
    } else {
      Write<true>(products, begin, end);
    }
  }

 private:
  template <bool kScaledOrAddedOrSummed>
  __attribute__((always_inline)) void Write(const float* products, int begin, int end) const {
    // Copies, which stay in registers while memory is written.
    const ConvolveArgs& a = *args;
    const Output out = a.out;
    const int outputs = weights->outputs;
    const Activate act = *activate;
    const float* const residual = a.residual ? a.parts[0].data : nullptr;
    // Of as many channels as there are outputs, which a residual's inputs have.
    const float* const gate = a.residual ? a.parts[0].gate : nullptr;
    const float* const added = plus;
    const int upsampling = a.plus_upsampling;
    for (int t = 0; t < tiles; ++t) {
      const int c = (tile + t) * kTileColumns;
      const __mmask16 lanes = Lanes(outputs - c);
      const std::size_t in_image = static_cast<std::size_t>(image) * outputs + c;
      const auto of_image = [&](const float* numbers) {
        return numbers == nullptr ? _mm512_set1_ps(1)
                                  : _mm512_maskz_loadu_ps(lanes, numbers + in_image);
      };
      const __m512 bias = _mm512_loadu_ps(weights->bias + c);
      const __m512 scale = of_image(a.scale);
      const __m512 gated = of_image(gate);
      const float* from = products + begin * kPitch + t * kTileColumns;
      std::size_t at = (row + column + begin) * outputs + c;
      const std::size_t to_out = (out_row - row) * outputs;
      __m512 sum = _mm512_setzero_ps();
      for (int i = begin; i < end; ++i, from += kPitch, at += outputs) {
        __m512 x = _mm512_add_ps(_mm512_load_ps(from), bias);
        if constexpr (kScaledOrAddedOrSummed) {
          x = _mm512_mul_ps(x, scale);
          if (added != nullptr) {
            const auto pixel = static_cast<std::size_t>((column + i) >> upsampling);
            x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(lanes, added + pixel * outputs + c));
          }
        }
        if (residual != nullptr)
          x = _mm512_add_ps(x, _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, residual + at), gated));
        x = act(x);
        if constexpr (kScaledOrAddedOrSummed) sum = _mm512_add_ps(sum, x);
        Store(x, out, at + to_out, lanes);
      }
      if constexpr (kScaledOrAddedOrSummed)
        if (a.sums != nullptr) AddTo(a.sums + in_image, sum, outputs - c);
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
    // Copies, which stay in registers while memory is written.
    const Activate act = *activate;
    const std::ptrdiff_t pitch = scratch->hidden_pitch;
    const std::ptrdiff_t first = (pixel + begin) * pitch + c;
    Bf16* high = scratch->hidden_high + first;
    Bf16* low = scratch->hidden_low + first;
    // The last tile may have none to its right: weights of zero then multiply zeros.
    const bool two = tile + 1 < weights->column_tiles;
    const __m512 left_bias = _mm512_loadu_ps(weights->bias + c);
    const __m512 right_bias =
        two ? _mm512_loadu_ps(weights->bias + c + kTileColumns) : _mm512_setzero_ps();
    const auto used = static_cast<__mmask16>(two ? 0xffff : 0);
    const float* from = products + begin * kPitch;
    for (int i = begin; i < end; ++i, from += kPitch, high += pitch, low += pitch) {
      const __m512 right = _mm512_maskz_load_ps(used, from + kTileColumns);
      SplitInterleaved<kProducts>(act(_mm512_add_ps(_mm512_load_ps(from), left_bias)),
                                  act(_mm512_add_ps(right, right_bias)), high, low);
    }
  }
};

template <int kProducts, typename Write>
void WithActivation(Activation activation, const Write& write) {
  switch (activation) {
    case Activation::kNone:
      return write([](__m512 x) { return x; });
    case Activation::kRelu:
      return write([](__m512 x) { return _mm512_max_ps(x, _mm512_setzero_ps()); });
    case Activation::kGelu:
      return write(Gelu<kProducts == 1 ? 3 : 5>());
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

// The outputs of one row of the region; `factors` are those of its first pixel.
template <typename Tiles, int kProducts>
void MultiplyOut(const ConvolveArgs& a, const Region& g, const Scratch& l, const Weights& w,
                 int row, const Factors& factors, Tiles& tiles) {
  const int y = g.row + row;
  const std::size_t number = static_cast<std::size_t>(g.image) * a.out_height + y;
  const std::size_t first = number * a.out_width;
  const std::size_t out_first = (number & a.out.ring) * a.out_width;
  const float* const plus = a.plus == nullptr ? nullptr : PlusRow(a, g.image, y, w.outputs);
  WithActivation<kProducts>(w.activation, [&](const auto& activate) {
    using Write = WriteOut<std::remove_cvref_t<decltype(activate)>>;
    MultiplyTiles<kProducts, Write>(
        tiles, l.products, w, 0, w.column_tiles, factors, [&](int x, int tile, int wide) {
          const int count = std::min(kPixels, g.columns - x);
          return Write{&a,        &w,           &activate, plus, g.image, first,
                       out_first, g.column + x, count,     tile, wide};
        });
  });
}

template <typename Tiles, int kProducts>
void MultiplyHidden(const Scratch& l, const Weights& w, const Factors& factors, Tiles& tiles) {
  WithActivation<kProducts>(w.activation, [&](const auto& activate) {
    using Write = WriteHidden<kProducts, std::remove_cvref_t<decltype(activate)>>;
    MultiplyTiles<kProducts, Write>(
        tiles, l.products, w, 0, w.column_tiles, factors,
        [&](int x, int tile, int /*wide*/) { return Write{&w, &l, &activate, x, tile}; });
  });
}

// A region's inputs where they are, if tiles can be loaded from there; else null.
inline const Bf16* InPlace(const ConvolveArgs& a, const Region& g) {
  const Part& part = a.parts[0];
  if (a.part_count > 1 || part.rounded == nullptr || part.pooled || part.upsampling > 0 ||
      (a.kernel_width == 1 && a.channels % kDepth != 0))
    return nullptr;
  const int top = g.row * a.stride_height - a.pad_top;
  const int left = g.column * a.stride_width - a.pad_left;
  const int bottom = top + (g.rows - 1) * a.stride_height + a.kernel_height;
  const int right = left + (g.columns - 1) * a.stride_width + a.kernel_width;
  if (top < 0 || left < 0 || bottom > a.height || right > a.width) return nullptr;
  // Whole tiles and blocks of depth are read: pixels behind the region's, which become products
  // that nobody uses, and channels behind a pixel's, which weights of zero multiply.
  const int columns = (g.columns + kPixels - 1) / kPixels * kPixels;
  const std::size_t last_row = static_cast<std::size_t>(bottom - 1) * a.width + left;
  const std::size_t read =
      (last_row + (columns - 1) * a.stride_width + a.kernel_width) * a.channels + kDepth;
  if (read > static_cast<std::size_t>(a.height) * a.width * a.channels) return nullptr;
  const std::size_t row = static_cast<std::size_t>(g.image) * a.height + top;
  return part.rounded + (row * a.width + left) * a.channels;
}

// `Tiles::Multiply<products>(factors, out, aside)`: out [32, 32] = inputs [rows, 32 * depth] x
// weights of one or two column tiles; `aside(part, parts)` is called now and then on the way.
template <typename Tiles, int kProducts>
void ConvolveRegion(const ConvolveArgs& a, const Region& g, std::uint8_t* scratch) {
  Scratch l = LayOut(a, g, scratch);
  const Bf16* high = InPlace(a, g);
  if (high == nullptr) {
    SplitInputs<kProducts>(a, g, l);
    high = l.high;
  } else {
    l.pitch = a.channels;
    l.row_pitch = a.width * a.channels;
  }
  const int per_row = a.first.depth_blocks / a.kernel_height;
  for (int k = 0; k < a.first.depth_blocks; ++k)
    l.offsets[k] = k / per_row * l.row_pitch + k % per_row * kDepth;
  const bool chained = a.second.column_tiles > 0;
  Tiles tiles;
  for (int row = 0; row < g.rows; ++row) {
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(row) * a.stride_height * l.row_pitch;
    const Factors inputs = {
        high + at, l.low + at, a.stride_width * l.pitch, l.offsets, a.first.depth_blocks, nullptr,
        nullptr,   g.columns};
    if (!chained) {
      MultiplyOut<Tiles, kProducts>(a, g, l, a.first, row, inputs, tiles);
      continue;
    }
    MultiplyHidden<Tiles, kProducts>(l, a.first, inputs, tiles);
    const Factors hidden = {l.hidden_high,         l.hidden_low, l.hidden_pitch, nullptr,
                            a.second.depth_blocks, nullptr,      nullptr,        g.columns};
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
