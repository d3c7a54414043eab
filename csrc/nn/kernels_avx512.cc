// Tiles multiplied by AVX-512's products of pairs of bfloat16.
#include <immintrin.h>

#include <cstring>

#include "nn/classify.h"
#include "nn/convolve.h"
#include "nn/depthwise.h"
#include "nn/pixelwise.h"

namespace vista::nn::avx512 {
namespace {

class Tiles {
 public:
  template <int kProducts>
  void Begin(const Factors& /*first*/) {}

  template <int kProducts, typename Finish>
  void Multiply(const Factors& f, const Factors* /*next*/, float* out, const Finish& pending,
                const float* products) {
    const int used = f.rows > kTileRows ? 2 * kTileRows : kTileRows;
    for (int row = 0; row < used; row += kRows) {
      const std::ptrdiff_t at = static_cast<std::ptrdiff_t>(row) * f.step;
      float* const to = out + static_cast<std::ptrdiff_t>(row) * 2 * kTileColumns;
      Sum<kProducts>(f, at, f.left, to);
      if (f.right != nullptr) Sum<kProducts>(f, at, f.right, to + kTileColumns);
    }
    typename Finish::Rows finish(pending, products);
    finish(0, pending.rows);
    finish.End();
  }

 private:
  static constexpr int kRows = 16;

  static __m512bh Pair(const Bf16* from) {
    std::int32_t pair = 0;
    std::memcpy(&pair, from, sizeof pair);
    return reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
  }

  template <int kProducts>
  static void Sum(const Factors& f, std::ptrdiff_t first, const Bf16* tiles, float* out) {
    constexpr int kTile = kTileColumns * kDepth;
    __m512 sums[kRows] = {};
    Blocks blocks(f);
    for (int k = 0; k < f.depth; ++k, blocks.Next()) {
      const Bf16* const w = tiles + static_cast<std::size_t>(k) * kTile * (kProducts > 1 ? 2 : 1);
      for (int pair = 0; pair < kDepth / 2; ++pair) {
        const auto weights =
            reinterpret_cast<__m512bh>(_mm512_loadu_si512(w + pair * kTileColumns * 2));
        __m512bh rest{};
        if constexpr (kProducts > 1)
          rest =
              reinterpret_cast<__m512bh>(_mm512_loadu_si512(w + kTile + pair * kTileColumns * 2));
#pragma GCC unroll 16
        for (int row = 0; row < kRows; ++row) {
          const std::ptrdiff_t from =
              first + static_cast<std::ptrdiff_t>(row) * f.step + blocks.at() + 2 * pair;
          const __m512bh x = Pair(f.high + from);
          sums[row] = _mm512_dpbf16_ps(sums[row], x, weights);
          if constexpr (kProducts > 1) {
            sums[row] = _mm512_dpbf16_ps(sums[row], x, rest);
            sums[row] = _mm512_dpbf16_ps(sums[row], Pair(f.low + from), weights);
          }
        }
      }
    }
    for (int row = 0; row < kRows; ++row)
      _mm512_storeu_ps(out + static_cast<std::ptrdiff_t>(row) * 2 * kTileColumns, sums[row]);
  }
};

}  // namespace

const Kernels kKernels = {&Convolve<Tiles>, &Depthwise, &Blend,           &MaxPool,
                          &DepthToSpace,    &SplitRows, &Classify<Tiles>, "avx512_bf16"};

}  // namespace vista::nn::avx512
