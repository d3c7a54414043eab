// Activations of 16 numbers.
#pragma once

#include <immintrin.h>

#include "nn/gelu_table.h"

namespace vista::nn {
namespace {

// x * P(X <= x) of a normal distribution, as max(x, 0) - |x| * P(X > |x|); the latter from
// polynomials around 16 places, at most 2e-8 from the last of them on. Three terms are enough for
// what single products make and take.
template <int kTerms>
class Gelu {
 public:
  Gelu() {
    const Table& table = TheGeluTable<kTerms>();
    for (int k = 0; k < kTerms; ++k) terms_[k] = _mm512_load_ps(table.terms[k]);
  }

  __m512 operator()(__m512 x) const {
    constexpr int kNearerToZeroWithoutSign = 0b1010;
    const __m512 near = _mm512_range_ps(x, _mm512_set1_ps(Table::kLast), kNearerToZeroWithoutSign);
    const __m512 per_unit = _mm512_set1_ps(Table::kPerUnit);
    // Adding 1.5 * 2^23 rounds to a whole number, which is then the number's last bits.
    const __m512 round = _mm512_set1_ps(12582912.0F);
    const __m512 nearest = _mm512_fmadd_ps(near, per_unit, round);
    __m512 variable = near;
    if constexpr (Table::kAroundPlaces)
      variable = _mm512_fmsub_ps(near, per_unit, _mm512_sub_ps(nearest, round));
    const __m512i place = _mm512_castps_si512(nearest);
    __m512 above = _mm512_permutexvar_ps(place, terms_[kTerms - 1]);
#pragma GCC unroll 4
    for (int k = kTerms - 2; k >= 0; --k)
      above = _mm512_fmadd_ps(above, variable, _mm512_permutexvar_ps(place, terms_[k]));
    // The second of the two where one is no number.
    const __m512 rectified = _mm512_max_ps(_mm512_setzero_ps(), x);
    return _mm512_fnmadd_ps(near, above, rectified);
  }

 private:
  using Table = GeluTable<kTerms>;

  __m512 terms_[kTerms];
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
