// Numbers as sums of bfloat16.
#pragma once

#include <immintrin.h>

#include <algorithm>

#include "nn/kernels.h"

namespace vista::nn {
namespace {

// The first `count` of 16 lanes.
inline __mmask16 Lanes(int count) {
  return count >= kLanes ? 0xffff : static_cast<__mmask16>((1U << std::max(count, 0)) - 1);
}

// Of 32.
inline __mmask32 PairedLanes(int count) {
  return count >= 2 * kLanes ? 0xffffffff : (1U << std::max(count, 0)) - 1;
}

// 32 bfloat16 as integers of the same order, and back.
inline __m512i Sorted(__m512i values) {
  const __m512i below_the_sign =
      _mm512_and_si512(_mm512_srai_epi16(values, 15), _mm512_set1_epi16(0x7fff));
  return _mm512_xor_si512(values, below_the_sign);
}

inline __m512 Widened(__m256i values) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(values), 16));
}

// 16 numbers as one or two bfloat16 each.
template <int kProducts>
inline void Split(__m512 x, Bf16* high, Bf16* low) {
  const auto rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(high), rounded);
  if constexpr (kProducts > 1) {
    const __m512 rest = _mm512_sub_ps(x, Widened(rounded));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(low),
                        reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(rest)));
  }
}

template <int kProducts>
inline void SplitMasked(__m512 x, Bf16* high, Bf16* low, __mmask16 lanes) {
  const auto rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x));
  _mm256_mask_storeu_epi16(high, lanes, rounded);
  if constexpr (kProducts > 1) {
    const __m512 rest = _mm512_sub_ps(x, Widened(rounded));
    _mm256_mask_storeu_epi16(low, lanes, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(rest)));
  }
}

// 32 numbers, the second 16 behind the first.
template <int kProducts>
inline void SplitBoth(__m512 first, __m512 second, Bf16* high, Bf16* low, __mmask32 lanes) {
  const auto round = [](__m512 a, __m512 b) {
    return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(b, a));
  };
  const __m512i rounded = round(first, second);
  _mm512_mask_storeu_epi16(high, lanes, rounded);
  if constexpr (kProducts > 1) {
    const __m512 first_rest = _mm512_sub_ps(first, Widened(_mm512_castsi512_si256(rounded)));
    const __m512 second_rest =
        _mm512_sub_ps(second, Widened(_mm512_extracti64x4_epi64(rounded, 1)));
    _mm512_mask_storeu_epi16(low, lanes, round(first_rest, second_rest));
  }
}

inline void Store(__m512 x, const Output& out, std::size_t at, __mmask16 lanes) {
  if (out.rounded == nullptr) {
    _mm512_mask_storeu_ps(out.data + at, lanes, x);
  } else {
    SplitMasked<1>(x, out.rounded + at, nullptr, lanes);
  }
}

// 32 numbers, of left and right by turns. Weights that multiply them are packed so.
template <int kProducts>
inline void SplitInterleaved(__m512 left, __m512 right, Bf16* high, Bf16* low) {
  const __m512i half = _mm512_set1_epi32(0x8000);
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xffff0000U));
  const auto join = [&](__m512i a, __m512i b, Bf16* to) {
    constexpr int kFirstOrBoth = 0xF8;  // a | (b & c)
    _mm512_storeu_si512(
        to, _mm512_ternarylogic_epi32(_mm512_srli_epi32(a, 16), b, upper, kFirstOrBoth));
  };
  const __m512i a = _mm512_add_epi32(_mm512_castps_si512(left), half);
  const __m512i b = _mm512_add_epi32(_mm512_castps_si512(right), half);
  join(a, b, high);
  if constexpr (kProducts > 1) {
    const auto rest = [&](__m512 x, __m512i rounded) {
      const __m512 low_part =
          _mm512_sub_ps(x, _mm512_castsi512_ps(_mm512_and_si512(rounded, upper)));
      return _mm512_add_epi32(_mm512_castps_si512(low_part), half);
    };
    join(rest(left, a), rest(right, b), low);
  }
}

// Adds the first `count` of 16 numbers.
inline void AddTo(double* sums, __m512 x, int count) {
  const __mmask16 lanes = Lanes(count);
  const auto lower = static_cast<__mmask8>(lanes);
  const auto upper = static_cast<__mmask8>(lanes >> 8);
  const __m512d first = _mm512_cvtps_pd(_mm512_castps512_ps256(x));
  const __m512d second = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
  _mm512_mask_storeu_pd(sums, lower, _mm512_add_pd(_mm512_maskz_loadu_pd(lower, sums), first));
  _mm512_mask_storeu_pd(sums + 8, upper,
                        _mm512_add_pd(_mm512_maskz_loadu_pd(upper, sums + 8), second));
}

}  // namespace
}  // namespace vista::nn
