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

// What outputs take beside a bias and a residual.
enum class Extras { kNone, kSums, kAll };

// Products become outputs.
template <typename Activate, Extras kExtras>
struct WriteOut {
  const ConvolveArgs* args = nullptr;
  const Weights* weights = nullptr;
  const Activate* activate = nullptr;
  const float* plus = nullptr;  // of the row's first pixel; null for none
  int image = 0;
  std::size_t row = 0;      // the row's first pixel
  std::size_t out_row = 0;  // where it lies in the output
  int column = 0;
  int rows = 0;  // of products, which are pixels
  int tile = 0;
  int tiles = 0;

  class Rows;
};

template <typename Activate, Extras kExtras>
class WriteOut<Activate, kExtras>::Rows {
 public:
  Rows(const WriteOut& w, const float* products)
      : products_(products),
        activate_(*w.activate),
        outputs_(w.weights->outputs),
        two_(w.tiles > 1),
        left_(w, 0),
        right_(w, 1),
        upsampling_(w.args->plus_upsampling),
        column_(w.column),
        out_(w.args->out) {
    const ConvolveArgs& a = *w.args;
    const int c = w.tile * kTileColumns;
    if (a.residual) residual_ = a.parts[0].data + (w.row + w.column) * outputs_ + c;
    if (w.plus != nullptr) plus_ = w.plus + c;
    if (a.sums != nullptr) sums_ = a.sums + static_cast<std::size_t>(w.image) * outputs_ + c;
    const std::size_t at = (w.out_row + w.column) * outputs_ + c;
    if (out_.rounded == nullptr) {
      out_.data += at;
    } else {
      out_.rounded += at;
    }
  }

  __attribute__((always_inline)) void operator()(int begin, int end) {
    // Copies, which stay in registers while memory is written.
    __m512 left_sum = left_sum_;
    __m512 right_sum = right_sum_;
    for (int row = begin; row < end; ++row) {
      const __m512 left = Write(row, 0, left_);
      if constexpr (kExtras != Extras::kNone) left_sum = _mm512_add_ps(left_sum, left);
      if (!two_) continue;
      const __m512 right = Write(row, kTileColumns, right_);
      if constexpr (kExtras != Extras::kNone) right_sum = _mm512_add_ps(right_sum, right);
    }
    left_sum_ = left_sum;
    right_sum_ = right_sum;
  }

  __attribute__((always_inline)) void End() const {
    if (kExtras == Extras::kNone || sums_ == nullptr) return;
    AddTo(sums_, left_sum_, left_.outputs);
    if (two_) AddTo(sums_ + kTileColumns, right_sum_, right_.outputs);
  }

 private:
  // A tile's columns.
  struct Columns {
    Columns(const WriteOut& w, int number)
        : outputs(w.weights->outputs - (w.tile + number) * kTileColumns),
          lanes(Lanes(number < w.tiles ? outputs : 0)) {
      const ConvolveArgs& a = *w.args;
      const int c = (w.tile + number) * kTileColumns;
      const std::size_t in_image = static_cast<std::size_t>(w.image) * w.weights->outputs + c;
      const auto of_image = [&](const float* numbers) {
        return numbers == nullptr ? _mm512_set1_ps(1)
                                  : _mm512_maskz_loadu_ps(lanes, numbers + in_image);
      };
      bias = _mm512_maskz_loadu_ps(lanes, w.weights->bias + c);
      // Of as many channels as there are outputs, which a residual's inputs have.
      gated = of_image(a.residual ? a.parts[0].gate : nullptr);
      scale = of_image(a.scale);
    }

    int outputs;  // from the first of these on
    __mmask16 lanes;
    __m512 bias;
    __m512 gated;
    __m512 scale;
  };

  __attribute__((always_inline)) __m512 Write(int row, int column, const Columns& c) const {
    const std::size_t at = static_cast<std::size_t>(row) * outputs_ + column;
    __m512 x = _mm512_add_ps(_mm512_load_ps(products_ + row * kPitch + column), c.bias);
    if constexpr (kExtras == Extras::kAll) {
      x = _mm512_mul_ps(x, c.scale);
      if (plus_ != nullptr) {
        const auto pixel = static_cast<std::size_t>((column_ + row) >> upsampling_);
        x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(c.lanes, plus_ + pixel * outputs_ + column));
      }
    }
    if (residual_ != nullptr)
      x = _mm512_fmadd_ps(_mm512_maskz_loadu_ps(c.lanes, residual_ + at), c.gated, x);
    x = activate_(x);
    Store(x, out_, at, c.lanes);
    return x;
  }

  const float* products_;
  Activate activate_;
  int outputs_;
  bool two_;
  const Columns left_;
  const Columns right_;
  __m512 left_sum_ = _mm512_setzero_ps();
  __m512 right_sum_ = _mm512_setzero_ps();
  int upsampling_;
  int column_;
  Output out_;
  const float* residual_ = nullptr;
  const float* plus_ = nullptr;
  double* sums_ = nullptr;
};

// Products become what the second weights multiply.
template <int kProducts, typename Activate>
struct WriteHidden {
  const Weights* weights = nullptr;
  const Scratch* scratch = nullptr;
  const Activate* activate = nullptr;
  int pixel = 0;
  int tile = 0;
  int rows = 0;

  class Rows;
};

template <int kProducts, typename Activate>
class WriteHidden<kProducts, Activate>::Rows {
 public:
  Rows(const WriteHidden& w, const float* products)
      : products_(products), activate_(*w.activate), pitch_(w.scratch->hidden_pitch) {
    const int c = w.tile * kTileColumns;
    const std::ptrdiff_t first = w.pixel * pitch_ + c;
    high_ = w.scratch->hidden_high + first;
    low_ = w.scratch->hidden_low + first;
    // The last tile may have none to its right: weights of zero then multiply zeros.
    used_ = static_cast<__mmask16>(w.tile + 1 < w.weights->column_tiles ? 0xffff : 0);
    left_bias_ = _mm512_loadu_ps(w.weights->bias + c);
    right_bias_ = _mm512_maskz_loadu_ps(used_, w.weights->bias + c + kTileColumns);
  }

  __attribute__((always_inline)) void operator()(int begin, int end) const {
    for (int row = begin; row < end; ++row) {
      const float* const from = products_ + row * kPitch;
      const std::ptrdiff_t to = row * pitch_;
      const __m512 right = _mm512_maskz_load_ps(used_, from + kTileColumns);
      SplitInterleaved<kProducts>(activate_(_mm512_add_ps(_mm512_load_ps(from), left_bias_)),
                                  activate_(_mm512_add_ps(right, right_bias_)), high_ + to,
                                  low_ + to);
    }
  }

  void End() const {}

 private:
  const float* products_;
  Activate activate_;
  std::ptrdiff_t pitch_;
  Bf16* high_;
  Bf16* low_;
  __mmask16 used_;
  __m512 left_bias_;
  __m512 right_bias_;
};

struct Identity {
  __m512 operator()(__m512 x) const { return x; }
};

struct Relu {
  __m512 operator()(__m512 x) const { return _mm512_max_ps(x, _mm512_setzero_ps()); }
};

struct ToSigmoid {
  __m512 operator()(__m512 x) const { return Sigmoid(x); }
};

template <int kProducts, typename Write>
void WithActivation(Activation activation, const Write& write) {
  switch (activation) {
    case Activation::kNone:
      return write(Identity());
    case Activation::kRelu:
      return write(Relu());
    case Activation::kGelu:
      return write(Gelu<kProducts == 1 ? 3 : 5>());
    case Activation::kSigmoid:
      return write(ToSigmoid());
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
  const auto write = [&]<typename Write>(const auto& activate) {
    MultiplyTiles<kProducts, Write>(
        tiles, l.products, w, 0, w.column_tiles, factors, [&](int x, int tile, int wide) {
          const int count = std::min(kPixels, g.columns - x);
          return Write{&a,        &w,           &activate, plus, g.image, first,
                       out_first, g.column + x, count,     tile, wide};
        });
  };
  WithActivation<kProducts>(w.activation, [&](const auto& activate) {
    using Activate = std::remove_cvref_t<decltype(activate)>;
    if (a.scale != nullptr || plus != nullptr) {
      write.template operator()<WriteOut<Activate, Extras::kAll>>(activate);
    } else if (a.sums != nullptr) {
      write.template operator()<WriteOut<Activate, Extras::kSums>>(activate);
    } else {
      write.template operator()<WriteOut<Activate, Extras::kNone>>(activate);
    }
  });
}

template <typename Tiles, int kProducts>
void MultiplyHidden(const Scratch& l, const Weights& w, const Factors& factors, Tiles& tiles) {
  WithActivation<kProducts>(w.activation, [&](const auto& activate) {
    using Write = WriteHidden<kProducts, std::remove_cvref_t<decltype(activate)>>;
    MultiplyTiles<kProducts, Write>(
        tiles, l.products, w, 0, w.column_tiles, factors,
        [&](int x, int tile, int /*wide*/) { return Write{&w, &l, &activate, x, tile, kPixels}; });
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

// `Tiles::Multiply<products>(factors, next, out, finish, before)`: out [32, 32] = inputs [rows, 32
// * depth] x weights of one or two column tiles, and meanwhile what Pipeline says of a Finish of
// the products before. `Tiles::Begin<products>(factors)` comes before the first.
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
  const int run = a.first.depth_blocks / a.kernel_height;
  const bool single = a.kernel_height == 1 && a.kernel_width == 1;
  const bool chained = a.second.column_tiles > 0;
  Tiles tiles;
  for (int row = 0; row < g.rows; ++row) {
    const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(row) * a.stride_height * l.row_pitch;
    const Factors inputs = {high + at,
                            l.low + at,
                            a.stride_width * l.pitch,
                            a.first.depth_blocks,
                            run,
                            l.row_pitch - run * kDepth,
                            nullptr,
                            nullptr,
                            g.columns,
                            single && run > kNearBlocks};
    if (!chained) {
      MultiplyOut<Tiles, kProducts>(a, g, l, a.first, row, inputs, tiles);
      continue;
    }
    MultiplyHidden<Tiles, kProducts>(l, a.first, inputs, tiles);
    const int depth = a.second.depth_blocks;
    const Factors hidden = {
        l.hidden_high, l.hidden_low, l.hidden_pitch,     depth, depth, 0, nullptr,
        nullptr,       g.columns,    depth > kNearBlocks};
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
