// The polynomials that Gelu evaluates.
#pragma once

namespace vista::nn {

// Of x up to kLast and down to -kLast: P(X <= x) for a normal distribution, as polynomials around
// the places i / kPerUnit, |i| <= 15, of (x - place) * kPerUnit, which lies in [-1/2, 1/2]. They
// lie by the last five bits of i. At most 1e-4 off with three terms, 1e-7 with five.
template <int kTerms>
struct GeluTable {
  static constexpr float kLast = 5.5F;
  // A little less than 15.5 / kLast, which would round to the place 16.
  static constexpr float kPerUnit = 15.499F / kLast;

  alignas(64) float terms[kTerms][32];
};

// Of three or five terms.
template <int kTerms>
const GeluTable<kTerms>& TheGeluTable();

}  // namespace vista::nn
