// Activations of 16 numbers.
#pragma once

#include <immintrin.h>

#include "nn/gelu_table.h"

namespace vista::nn {
namespace {

// x * P(X <= x) of a normal distribution, from polynomials of degree 4 around 32 places. Below the
// last of them it tends to 2e-8 * x.
class Gelu {
 public:
  Gelu() {
    const GeluTable& table = TheGeluTable();
    for (int k = 0; k < GeluTable::kTerms; ++k) {
      low_[k] = _mm512_load_ps(table.terms[k]);
      high_[k] = _mm512_load_ps(table.terms[k] + 16);
    }
  }

  __m512 operator()(__m512 x) const {
    const __m512 last = _mm512_set1_ps(GeluTable::kLast);
    const __m512 near = _mm512_max_ps(_mm512_min_ps(x, last), _mm512_set1_ps(-GeluTable::kLast));
    const __m512 place = _mm512_mul_ps(near, _mm512_set1_ps(GeluTable::kPerUnit));
    // Adding 1.5 * 2^23 rounds to a whole number, which is then the number's last bits.
    const __m512 round = _mm512_set1_ps(12582912.0F);
    const __m512 nearest = _mm512_add_ps(place, round);
    const __m512 from = _mm512_sub_ps(place, _mm512_sub_ps(nearest, round));
    const __m512i index = _mm512_castps_si512(nearest);
    __m512 below = Term(GeluTable::kTerms - 1, index);
#pragma GCC unroll 4
    for (int k = GeluTable::kTerms - 2; k >= 0; --k)
      below = _mm512_fmadd_ps(below, from, Term(k, index));
    return _mm512_mul_ps(x, below);
  }

 private:
  __m512 Term(int k, __m512i index) const {
    return _mm512_permutex2var_ps(low_[k], index, high_[k]);
  }

  __m512 low_[GeluTable::kTerms];
  __m512 high_[GeluTable::kTerms];
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
