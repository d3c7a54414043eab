// Activations of 16 numbers.
#pragma once

#include <immintrin.h>

#include "nn/gelu_table.h"

namespace vista::nn {
namespace {

// x * P(X <= x) of a normal distribution, from polynomials around 31 places. Below the last of them
// it tends to 2e-8 * x. Three terms are enough for what single products make and take.
template <int kTerms>
class Gelu {
 public:
  Gelu() {
    const Table& table = TheGeluTable<kTerms>();
    for (int k = 0; k < kTerms; ++k) {
      low_[k] = _mm512_load_ps(table.terms[k]);
      high_[k] = _mm512_load_ps(table.terms[k] + 16);
    }
  }

  __m512 operator()(__m512 x) const {
    constexpr int kNearerToZeroWithSignOfFirst = 2;
    const __m512 near =
        _mm512_range_ps(x, _mm512_set1_ps(Table::kLast), kNearerToZeroWithSignOfFirst);
    const __m512 per_unit = _mm512_set1_ps(Table::kPerUnit);
    // Adding 1.5 * 2^23 rounds to a whole number, which is then the number's last bits.
    const __m512 round = _mm512_set1_ps(12582912.0F);
    const __m512 nearest = _mm512_fmadd_ps(near, per_unit, round);
    const __m512 from = _mm512_fmsub_ps(near, per_unit, _mm512_sub_ps(nearest, round));
    const __m512i index = _mm512_castps_si512(nearest);
    __m512 below = Term(kTerms - 1, index);
#pragma GCC unroll 4
    for (int k = kTerms - 2; k >= 0; --k) below = _mm512_fmadd_ps(below, from, Term(k, index));
    return _mm512_mul_ps(x, below);
  }

 private:
  using Table = GeluTable<kTerms>;

  __m512 Term(int k, __m512i index) const {
    return _mm512_permutex2var_ps(low_[k], index, high_[k]);
  }

  __m512 low_[kTerms];
  __m512 high_[kTerms];
};

// e^x, at most 3e-7 of itself off; x is held within what float32 has.
inline __m512 Exp(__m512 x) {
  const __m512 bound = _mm512_set1_ps(87);
  const __m512 y =
      _mm512_max_ps(_mm512_min_ps(x, bound), _mm512_sub_ps(_mm512_setzero_ps(), bound));
  // 2^whole * e^rest, |rest| <= ln 2 / 2; e^rest by Taylor's series.
  const __m512 whole = _mm512_roundscale_ps(_mm512_mul_ps(y, _mm512_set1_ps(1.44269504F)),
                                            _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  // ln 2 in two parts, of which the first times a whole number is exact.
  __m512 rest = _mm512_fnmadd_ps(whole, _mm512_set1_ps(0.693145752F), y);
  rest = _mm512_fnmadd_ps(whole, _mm512_set1_ps(1.42860677e-6F), rest);
  __m512 e = _mm512_set1_ps(1.0F / 5040);
  e = _mm512_fmadd_ps(e, rest, _mm512_set1_ps(1.0F / 720));
  e = _mm512_fmadd_ps(e, rest, _mm512_set1_ps(1.0F / 120));
  e = _mm512_fmadd_ps(e, rest, _mm512_set1_ps(1.0F / 24));
  e = _mm512_fmadd_ps(e, rest, _mm512_set1_ps(1.0F / 6));
  e = _mm512_fmadd_ps(e, rest, _mm512_set1_ps(0.5F));
  e = _mm512_fmadd_ps(e, rest, _mm512_set1_ps(1));
  e = _mm512_fmadd_ps(e, rest, _mm512_set1_ps(1));
  return _mm512_scalef_ps(e, whole);
}

inline __m512 Sigmoid(__m512 x) {
  const __m512 one = _mm512_set1_ps(1);
  return _mm512_div_ps(one, _mm512_add_ps(one, Exp(_mm512_sub_ps(_mm512_setzero_ps(), x))));
}

}  // namespace
}  // namespace vista::nn
