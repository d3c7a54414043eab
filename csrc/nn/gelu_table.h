// The polynomials that Gelu evaluates.
#pragma once

namespace vista::nn {

// Of a from 0 to kLast: P(X > a) for a normal distribution, as polynomials around the places
// i / kPerUnit, i from 0 to 15: three terms in a itself, which are at most 1e-4 off; or five in
// (a - place) * kPerUnit, which lies in [-1/2, 1/2] and where float32 leaves 1e-7.
template <int kTerms>
struct GeluTable {
  static constexpr float kLast = 5.5F;
  // A little less than 15.5 / kLast, which would round to the place 16.
  static constexpr float kPerUnit = 15.499F / kLast;
  static constexpr bool kAroundPlaces = kTerms > 3;
  static constexpr int kPlaces = 16;

  alignas(64) float terms[kTerms][kPlaces];
};

// Of three or five terms.
template <int kTerms>
const GeluTable<kTerms>& TheGeluTable();

}  // namespace vista::nn
