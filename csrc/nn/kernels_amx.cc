// Tiles multiplied by AMX.
#include <immintrin.h>

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

  template <int kProducts, typename Aside>
  void Multiply(const Factors& f, float* out, const Aside& aside) {
    if (f.rows > kTileRows) {
      f.right != nullptr ? Sum<kProducts, true, true>(f, out, aside)
                         : Sum<kProducts, true, false>(f, out, aside);
    } else {
      f.right != nullptr ? Sum<kProducts, false, true>(f, out, aside)
                         : Sum<kProducts, false, false>(f, out, aside);
    }
  }

 private:
  template <bool kLower, bool kRight>
  static void MultiplyAll() {
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kRight) _tile_dpbf16ps(1, 4, 7);
    if constexpr (kLower) _tile_dpbf16ps(2, 5, 6);
    if constexpr (kLower && kRight) _tile_dpbf16ps(3, 5, 7);
  }

  template <int kProducts, bool kLower, bool kRight, typename Aside>
  static void Sum(const Factors& f, float* out, const Aside& aside) {
    // Tiles are loaded from memory that the compiler does not see read.
    asm volatile("" ::: "memory");
    _tile_zero(0);
    if constexpr (kRight) _tile_zero(1);
    if constexpr (kLower) _tile_zero(2);
    if constexpr (kLower && kRight) _tile_zero(3);
    if constexpr (kProducts == 1) {
      SumSingle<kLower, kRight>(f, aside);
    } else {
      SumSplit<kLower, kRight>(f, aside);
    }
    constexpr int kPitch = 2 * kTileColumns;
    constexpr int kBytes = kPitch * sizeof(float);
    _tile_stored(0, out, kBytes);
    if constexpr (kRight) _tile_stored(1, out + kTileColumns, kBytes);
    if constexpr (kLower) _tile_stored(2, out + kTileRows * kPitch, kBytes);
    if constexpr (kLower && kRight)
      _tile_stored(3, out + kTileRows * kPitch + kTileColumns, kBytes);
  }

  template <bool kLower, bool kRight, typename Aside>
  static void SumSingle(const Factors& f, const Aside& aside) {
    LoadInputs<kLower>(f, f.high, 0);
    LoadWeights<kRight>(f, 0);
    for (int k = 0; k < f.depth; ++k) {
      MultiplyAll<kLower, kRight>();
      // The next tiles are on their way while the vector units are at work.
      if (k + 1 < f.depth) {
        LoadInputs<kLower>(f, f.high, k + 1);
        LoadWeights<kRight>(f, (k + 1) * kTile);
      }
      aside(k, f.depth);
    }
  }

  template <bool kLower, bool kRight, typename Aside>
  static void SumSplit(const Factors& f, const Aside& aside) {
    const int parts = 3 * f.depth;
    int part = 0;
    for (int k = 0; k < f.depth; ++k) {
      const int high = 2 * k * kTile;
      const int low = high + kTile;
      LoadInputs<kLower>(f, f.high, k);
      LoadWeights<kRight>(f, low);
      MultiplyAll<kLower, kRight>();
      aside(part++, parts);
      LoadWeights<kRight>(f, high);
      MultiplyAll<kLower, kRight>();
      aside(part++, parts);
      LoadInputs<kLower>(f, f.low, k);
      MultiplyAll<kLower, kRight>();
      aside(part++, parts);
    }
  }

  template <bool kLower>
  static void LoadInputs(const Factors& f, const Bf16* inputs, int k) {
    const int at = f.offsets == nullptr ? k * kDepth : f.offsets[k];
    const int bytes = f.step * static_cast<int>(sizeof(Bf16));
    _tile_loadd(4, inputs + at, bytes);
    if constexpr (kLower) _tile_loadd(5, inputs + at + kTileRows * f.step, bytes);
  }

  template <bool kRight>
  static void LoadWeights(const Factors& f, int at) {
    _tile_loadd(6, f.left + at, kRowBytes);
    if constexpr (kRight) _tile_loadd(7, f.right + at, kRowBytes);
  }

  static constexpr int kTile = kTileColumns * kDepth;
  static constexpr int kRowBytes = 64;  // of a row
};

}  // namespace

const Kernels kKernels = {&Convolve<Tiles>, &Depthwise, &Blend,           &MaxPool,
                          &DepthToSpace,    &SplitRows, &Classify<Tiles>, "amx"};

}  // namespace vista::nn::amx
