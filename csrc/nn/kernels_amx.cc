// Tiles multiplied by AMX.
#include <immintrin.h>

#include <algorithm>

#include "nn/classify.h"
#include "nn/convolve.h"
#include "nn/depthwise.h"
#include "nn/pixelwise.h"

namespace vista::nn::amx {
namespace {

struct alignas(64) TileConfig {
  std::uint8_t palette = 1;
  std::uint8_t start_row = 0;
  std::uint8_t reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Tiles 0 to 3 are sums, 4 and 5 inputs, 6 and 7 weights. They are a thread's own, and nobody's
// between two regions.
class Tiles {
 public:
  Tiles() {
    // Static, as the compiler takes the instruction to read 8 bytes of it.
    static constexpr TileConfig kConfig;
    _tile_loadconfig(&kConfig);
  }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
  ~Tiles() { _tile_release(); }

  // Loads the first tiles of what `Multiply` takes next.
  template <int kProducts>
  static void Begin(const Factors& f) {
    // Tiles are loaded from memory that the compiler does not see read.
    asm volatile("" ::: "memory");
    const Loads<kProducts> loads(f);
    loads.Upper();
    loads.Left();
    if (f.right != nullptr) loads.Right();
    if (f.rows > kTileRows) loads.Lower();
  }

  // Products of what `Begin`, or the call before, has begun with. Begins with `next`, unless null.
  template <int kProducts, typename Finish>
  void Multiply(const Factors& f, const Factors* next, float* out, const Finish& finish,
                const float* products) {
    if (f.rows > kTileRows) {
      f.right != nullptr ? Sum<kProducts, true, true>(f, next, out, finish, products)
                         : Sum<kProducts, true, false>(f, next, out, finish, products);
    } else {
      f.right != nullptr ? Sum<kProducts, false, true>(f, next, out, finish, products)
                         : Sum<kProducts, false, false>(f, next, out, finish, products);
    }
  }

 private:
  static constexpr int kTile = kTileColumns * kDepth;
  static constexpr int kRowBytes = 64;  // of a row

  // Of one block of depth after the other, of inputs and weights: first high ones and low ones.
  template <int kProducts>
  class Loads {
   public:
    explicit Loads(const Factors& f)
        : inputs_(f.high),
          bytes_(f.step * static_cast<std::ptrdiff_t>(sizeof(Bf16))),
          lower_(static_cast<std::ptrdiff_t>(kTileRows) * f.step),
          weights_(f.left + (kProducts > 1 ? kTile : 0)),
          right_(f.right - f.left),
          blocks_(f),
          once_(kProducts == 1 && f.once) {}

    // What comes from a farther cache to be used once would push the weights out of the nearest.
    void Upper() const {
      const Bf16* const from = inputs_ + blocks_.at();
      if (once_) {
        _tile_stream_loadd(4, from, bytes_);
      } else {
        _tile_loadd(4, from, bytes_);
      }
    }

    void Lower() const {
      const Bf16* const from = inputs_ + blocks_.at() + lower_;
      if (once_) {
        _tile_stream_loadd(5, from, bytes_);
      } else {
        _tile_loadd(5, from, bytes_);
      }
    }

    void Left() const { _tile_loadd(6, weights_, kRowBytes); }
    void Right() const { _tile_loadd(7, weights_ + right_, kRowBytes); }

    void Next() {
      blocks_.Next();
      weights_ += (kProducts > 1 ? 2 : 1) * kTile;
    }

   private:
    const Bf16* inputs_;
    std::ptrdiff_t bytes_;
    std::ptrdiff_t lower_;
    const Bf16* weights_;
    std::ptrdiff_t right_;
    Blocks blocks_;
    bool once_;
  };

  template <int kProducts, bool kLower, bool kRight, typename Finish>
  __attribute__((noinline)) static void Sum(const Factors& factors, const Factors* next, float* out,
                                            const Finish& pending, const float* products) {
    // Copies, which stay in registers while memory is written.
    const Factors f = factors;
    const int pending_rows = pending.rows;
    typename Finish::Rows finish(pending, products);
    _tile_zero(0);
    if constexpr (kRight) _tile_zero(1);
    if constexpr (kLower) _tile_zero(2);
    if constexpr (kLower && kRight) _tile_zero(3);
    // Rows in even shares, in 2^-16 of a row.
    const int parts = (kProducts > 1 ? 3 : 1) * f.depth;
    const int share = (pending_rows << 16) / parts;
    int row = 0;
    int until = 1 << 15;
    const auto finish_rows = [&] {
      until += share;
      const int end = until >> 16;
      if (row < end) finish(row, end);
      row = std::max(row, end);
    };
    if constexpr (kProducts == 1) {
      Loads<1> loads(f);
      for (int k = f.depth - 1; k > 0; --k) {
        // The next tiles are on their way as soon as nothing needs what they take the place of.
        loads.Next();
        _tile_dpbf16ps(0, 4, 6);
        if constexpr (kRight) _tile_dpbf16ps(1, 4, 7);
        loads.Upper();
        if constexpr (kLower) _tile_dpbf16ps(2, 5, 6);
        loads.Left();
        if constexpr (kLower && kRight) _tile_dpbf16ps(3, 5, 7);
        if constexpr (kRight) loads.Right();
        if constexpr (kLower) loads.Lower();
        finish_rows();
      }
      MultiplyAll<kLower, kRight>();
    } else {
      SumSplit<kLower, kRight>(f, finish_rows);
    }
    if (next != nullptr) Begin<kProducts>(*next);
    if (row < pending_rows) finish(row, pending_rows);
    finish.End();
    constexpr int kPitch = 2 * kTileColumns;
    constexpr int kBytes = kPitch * sizeof(float);
    _tile_stored(0, out, kBytes);
    if constexpr (kRight) _tile_stored(1, out + kTileColumns, kBytes);
    if constexpr (kLower) _tile_stored(2, out + kTileRows * kPitch, kBytes);
    if constexpr (kLower && kRight)
      _tile_stored(3, out + kTileRows * kPitch + kTileColumns, kBytes);
  }

  // high * low, high * high and low * high of one block of depth after the other.
  template <bool kLower, bool kRight, typename Aside>
  static void SumSplit(const Factors& f, const Aside& aside) {
    const std::ptrdiff_t bytes = f.step * static_cast<std::ptrdiff_t>(sizeof(Bf16));
    const std::ptrdiff_t lower = static_cast<std::ptrdiff_t>(kTileRows) * f.step;
    Blocks blocks(f);
    const auto load_inputs = [&](const Bf16* inputs) {
      _tile_loadd(4, inputs + blocks.at(), bytes);
      if constexpr (kLower) _tile_loadd(5, inputs + blocks.at() + lower, bytes);
    };
    const auto load_weights = [&](int at) {
      _tile_loadd(6, f.left + at, kRowBytes);
      if constexpr (kRight) _tile_loadd(7, f.right + at, kRowBytes);
    };
    for (int k = 0; k < f.depth; ++k, blocks.Next()) {
      const int high = 2 * k * kTile;
      if (k > 0) {
        load_inputs(f.high);
        load_weights(high + kTile);
      }
      MultiplyAll<kLower, kRight>();
      load_weights(high);
      aside();
      MultiplyAll<kLower, kRight>();
      load_inputs(f.low);
      aside();
      MultiplyAll<kLower, kRight>();
      aside();
    }
  }

  template <bool kLower, bool kRight>
  static void MultiplyAll() {
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kRight) _tile_dpbf16ps(1, 4, 7);
    if constexpr (kLower) _tile_dpbf16ps(2, 5, 6);
    if constexpr (kLower && kRight) _tile_dpbf16ps(3, 5, 7);
  }
};

}  // namespace

const Kernels kKernels = {&Convolve<Tiles>, &Depthwise, &Blend,           &MaxPool,
                          &DepthToSpace,    &SplitRows, &Classify<Tiles>, "amx"};

}  // namespace vista::nn::amx
