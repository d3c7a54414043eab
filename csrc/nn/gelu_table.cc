#include "nn/gelu_table.h"

#include <array>
#include <cmath>
#include <numbers>
#include <utility>

namespace vista::nn {
namespace {

// The polynomial through the function at the Chebyshev nodes of the interval around a place, by
// Newton's divided differences, written out in powers of the variable.
template <int kTerms>
std::array<double, kTerms> Fit(int place) {
  using Table = GeluTable<kTerms>;
  std::array<double, kTerms> nodes{};
  std::array<double, kTerms> divided{};
  for (int i = 0; i < kTerms; ++i) {
    const double from = 0.5 * std::cos(std::numbers::pi * (2 * i + 1) / (2 * kTerms));
    const double a = (place + from) / Table::kPerUnit;
    nodes[i] = Table::kAroundPlaces ? from : a;
    divided[i] = 0.5 * std::erfc(a / std::numbers::sqrt2);
  }
  for (int order = 1; order < kTerms; ++order)
    for (int i = kTerms - 1; i >= order; --i)
      divided[i] = (divided[i] - divided[i - 1]) / (nodes[i] - nodes[i - order]);
  std::array<double, kTerms> terms{};
  for (int i = kTerms - 1; i >= 0; --i) {
    // terms = terms * (variable - node) + divided
    for (int k = kTerms - 1; k > 0; --k) terms[k] = terms[k - 1] - nodes[i] * terms[k];
    terms[0] = divided[i] - nodes[i] * terms[0];
  }
  return terms;
}

template <int kTerms>
GeluTable<kTerms> Make() {
  GeluTable<kTerms> table{};
  for (int place = 0; place < GeluTable<kTerms>::kPlaces; ++place) {
    const auto terms = Fit<kTerms>(place);
    for (int k = 0; k < kTerms; ++k) table.terms[k][place] = static_cast<float>(terms[k]);
  }
  return table;
}

}  // namespace

template <int kTerms>
const GeluTable<kTerms>& TheGeluTable() {
  static const GeluTable<kTerms> table = Make<kTerms>();
  return table;
}

template const GeluTable<3>& TheGeluTable<3>();
template const GeluTable<5>& TheGeluTable<5>();

}  // namespace vista::nn
