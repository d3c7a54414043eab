// Compiled with AVX-512's F, BW and VBMI; called only where the processor has them. Uses no inline
// function of the library: the linker could keep a copy compiled for another processor.
#include <immintrin.h>

#include "image/normalise.h"

namespace vista::avx512 {
namespace {

constexpr int kWidth = 16;  // pixels at a time

// Sixteen pixels' bytes of one channel, each at the bottom of a lane.
inline __m512i Channel(__m512i bytes, int channel) {
  const __m512i first =
      _mm512_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42, 45);
  constexpr __mmask64 kBottoms = 0x1111'1111'1111'1111;
  const __m512i at = _mm512_add_epi32(first, _mm512_set1_epi32(channel));
  return _mm512_maskz_permutexvar_epi8(kBottoms, at, bytes);
}

void Block(const std::uint8_t* from, std::ptrdiff_t stride, int width, int height,
           const NormalisationTable& table, float* out, std::size_t plane) {
  const float* const tables = reinterpret_cast<const float*>(&table);
  for (int y = 0; y < height; ++y, from += stride, out += width) {
    for (int x = 0; x < width; x += kWidth) {
      const int count = width - x < kWidth ? width - x : kWidth;
      const __mmask64 read = ~__mmask64{0} >> (64 - 3 * count);
      const auto written = static_cast<__mmask16>(0xFFFF >> (kWidth - count));
      const __m512i bytes =
          _mm512_maskz_loadu_epi8(read, from + 3 * static_cast<std::ptrdiff_t>(x));
      for (int c = 0; c < 3; ++c) {
        const __m512 values = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), written,
                                                       Channel(bytes, c), tables + 256 * c, 4);
        _mm512_mask_storeu_ps(out + static_cast<std::size_t>(c) * plane + x, written, values);
      }
    }
  }
}

}  // namespace

const NormaliseKernel kNormalise = {"avx512", Block};

}  // namespace vista::avx512
