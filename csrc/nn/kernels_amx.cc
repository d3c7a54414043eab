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
    constexpr int kTile = kTileColumns * kDepth;
    const int bytes = f.step * static_cast<int>(sizeof(Bf16));
    const int lower = kTileRows * f.step;
    const int parts = f.depth * kProducts;
    int part = 0;
    for (int k = 0; k < f.depth; ++k) {
      const int at = f.offsets == nullptr ? k * kDepth : f.offsets[k];
      const std::size_t tile = static_cast<std::size_t>(k) * kTile * (kProducts > 1 ? 2 : 1);
      const Bf16* const left = f.left + tile;
      const Bf16* const right = kRight ? f.right + tile : nullptr;
      _tile_loadd(4, f.high + at, bytes);
      if constexpr (kLower) _tile_loadd(5, f.high + at + lower, bytes);
      if constexpr (kProducts > 1) {
        _tile_loadd(6, left + kTile, 64);
        if constexpr (kRight) _tile_loadd(7, right + kTile, 64);
        MultiplyAll<kLower, kRight>();
        aside(part++, parts);
      }
      _tile_loadd(6, left, 64);
      if constexpr (kRight) _tile_loadd(7, right, 64);
      MultiplyAll<kLower, kRight>();
      aside(part++, parts);
      if constexpr (kProducts > 1) {
        _tile_loadd(4, f.low + at, bytes);
        if constexpr (kLower) _tile_loadd(5, f.low + at + lower, bytes);
        MultiplyAll<kLower, kRight>();
        aside(part++, parts);
      }
    }
    constexpr int kPitch = 2 * kTileColumns;
    constexpr int kBytes = kPitch * sizeof(float);
    _tile_stored(0, out, kBytes);
    if constexpr (kRight) _tile_stored(1, out + kTileColumns, kBytes);
    if constexpr (kLower) _tile_stored(2, out + kTileRows * kPitch, kBytes);
    if constexpr (kLower && kRight)
      _tile_stored(3, out + kTileRows * kPitch + kTileColumns, kBytes);
  }
};

}  // namespace

const Kernels kKernels = {&Convolve<Tiles>, &Depthwise, &Blend,           &MaxPool,
                          &DepthToSpace,    &SplitRows, &Classify<Tiles>, "amx"};

}  // namespace vista::nn::amx
