#include "nn/gelu_table.h"

#include <array>
#include <cmath>
#include <numbers>
#include <utility>

namespace vista::nn {
namespace {

// The polynomial through the function at the Chebyshev nodes of an interval, by Newton's divided
// differences, written out in powers.
template <int kTerms>
std::array<double, kTerms> Fit(double place) {
  std::array<double, kTerms> nodes{};
  std::array<double, kTerms> divided{};
  for (int i = 0; i < kTerms; ++i) {
    nodes[i] = 0.5 * std::cos(std::numbers::pi * (2 * i + 1) / (2 * kTerms));
    const double x = place + nodes[i] / GeluTable<kTerms>::kPerUnit;
    divided[i] = 0.5 * std::erfc(-x / std::numbers::sqrt2);
  }
  for (int order = 1; order < kTerms; ++order)
    for (int i = kTerms - 1; i >= order; --i)
      divided[i] = (divided[i] - divided[i - 1]) / (nodes[i] - nodes[i - order]);
  std::array<double, kTerms> terms{};
  for (int i = kTerms - 1; i >= 0; --i) {
    // terms = terms * (x - node) + divided
    for (int k = kTerms - 1; k > 0; --k) terms[k] = terms[k - 1] - nodes[i] * terms[k];
    terms[0] = divided[i] - nodes[i] * terms[0];
  }
  return terms;
}

template <int kTerms>
GeluTable<kTerms> Make() {
  using Table = GeluTable<kTerms>;
  Table table{};
  for (int place = -16; place < 16; ++place) {
    const auto terms = Fit<kTerms>(place / static_cast<double>(Table::kPerUnit));
    for (int k = 0; k < kTerms; ++k) table.terms[k][place & 31] = static_cast<float>(terms[k]);
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
