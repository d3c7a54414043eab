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

constexpr __mmask16 kAll = 0xFFFF;

// The quotient, and what divides to it exactly: one step of Newton's method from the product with
// the reciprocal is rounded as a division is (P. Markstein, IBM J. Res. Dev. 34, 1990), but for
// rare divisors, which Computes finds.
struct Divisor {
  explicit Divisor(float by) : divisor(_mm512_set1_ps(by)), reciprocal(_mm512_set1_ps(1.0f / by)) {}

  [[nodiscard]] __m512 Divide(__m512 value) const {
    const __m512 quotient = _mm512_mul_ps(value, reciprocal);
    const __m512 rest = _mm512_fnmadd_ps(quotient, divisor, value);
    return _mm512_fmadd_ps(rest, reciprocal, quotient);
  }

  __m512 divisor;
  __m512 reciprocal;
};

struct Computed {
  Computed(const NormalisationTable& table, std::size_t channel)
      : mean(_mm512_set1_ps(table.mean[channel])), std(table.std[channel]) {}

  [[nodiscard]] __m512 operator()(__m512i pixels, __mmask16 /*wanted*/) const {
    const __m512 scaled = byte.Divide(_mm512_maskz_cvtepi32_ps(kAll, pixels));
    return std.Divide(_mm512_sub_ps(scaled, mean));
  }

  __m512 mean;
  Divisor std;
  Divisor byte{255.0f};
};

struct LookedUp {
  LookedUp(const NormalisationTable& table, std::size_t channel)
      : values(table.value[channel].data()) {}

  [[nodiscard]] __m512 operator()(__m512i pixels, __mmask16 wanted) const {
    return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), wanted, pixels, values, 4);
  }

  const float* values;
};

template <typename Way>
void BlockBy(const std::uint8_t* from, std::ptrdiff_t stride, int width, int height,
             const NormalisationTable& table, float* out, std::ptrdiff_t plane) {
  const Way ways[] = {Way(table, 0), Way(table, 1), Way(table, 2)};
  for (int y = 0; y < height; ++y, from += stride, out += width) {
    for (int x = 0; x < width; x += kWidth) {
      const int count = width - x < kWidth ? width - x : kWidth;
      const __mmask64 read = ~__mmask64{0} >> (64 - 3 * count);
      const auto written = static_cast<__mmask16>(0xFFFF >> (kWidth - count));
      const __m512i bytes =
          _mm512_maskz_loadu_epi8(read, from + 3 * static_cast<std::ptrdiff_t>(x));
      for (int c = 0; c < 3; ++c) {
        const __m512 values = ways[c](Channel(bytes, c), written);
        _mm512_mask_storeu_ps(out + c * plane + x, written, values);
      }
    }
  }
}

void Block(const std::uint8_t* from, std::ptrdiff_t stride, int width, int height,
           const NormalisationTable& table, float* out, std::ptrdiff_t plane) {
  const auto by = table.computable ? BlockBy<Computed> : BlockBy<LookedUp>;
  by(from, stride, width, height, table, out, plane);
}

bool Computes(const NormalisationTable& table) {
  const __m512i steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  for (std::size_t c = 0; c < 3; ++c) {
    const Computed computed(table, c);
    for (int first = 0; first < 256; first += kWidth) {
      const __m512i pixels = _mm512_add_epi32(steps, _mm512_set1_epi32(first));
      const __m512i wanted = _mm512_loadu_si512(&table.value[c][static_cast<std::size_t>(first)]);
      const __m512i got = _mm512_castps_si512(computed(pixels, kAll));
      if (_mm512_cmpneq_epi32_mask(got, wanted) != 0) return false;
    }
  }
  return true;
}

}  // namespace

const NormaliseKernel kNormalise = {"avx512", Block, Computes};

}  // namespace vista::avx512
