#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "networks.h"

namespace vista::nn {
namespace {

using testing::Activated;
using testing::Bench;
using testing::Convolving;
using testing::Grid;
using testing::Packed;

class GeluOn : public testing::OnKernels {};
VISTA_ON_EACH_KERNELS(GeluOn);

// Images of one row that a weight of 1 leaves as they are. Of single products, which are 2^-9 of
// themselves off, the function takes a coarser polynomial.
void CheckGelu(const Kernels& kernels, const Grid& in, int products) {
  Bench bench(in, kernels);
  const int index =
      bench.Add(Convolving({{}}, {}, Packed({1}, 1, 1, {}, Activation::kGelu, products), products));
  const Grid out = bench.Tensor(index);
  const double per_unit = products > 1 ? 1.0 / 32768 : 1e-4;
  for (int x = 0; x < in.width; ++x) {
    const double from = in.At(0, 0, x, 0);
    ASSERT_NEAR(out.At(0, 0, x, 0), Activated(Activation::kGelu, from),
                1e-5 + std::abs(from) * per_unit)
        << from << ", products " << products;
  }
}

TEST_P(GeluOn, IsNearTheExactOne) {
  Grid in(1, 1, 20001, 1);
  in.Fill([](int, int, int x, int) { return static_cast<float>(x / 1000.0 - 10); });
  CheckGelu(kernels(), in, 3);
}

TEST_P(GeluOn, IsNearTheExactOneOfBfloat16) {
  Grid in(1, 1, 321, 1);
  in.Fill([](int, int, int x, int) { return (x - 160) / 16.0; });
  for (const int products : {1, 3}) CheckGelu(kernels(), in, products);
}

TEST_P(GeluOn, HoldsFarOut) {
  Grid in(1, 1, 64, 1);
  in.Fill([](int, int, int x, int) { return std::ldexp(x % 2 == 0 ? 1 : -1, x / 2); });
  for (const int products : {1, 3}) {
    Bench bench(in, kernels());
    const int index = bench.Add(
        Convolving({{}}, {}, Packed({1}, 1, 1, {}, Activation::kGelu, products), products));
    const Grid out = bench.Tensor(index);
    for (int x = 6; x < in.width; ++x) {
      const double from = in.At(0, 0, x, 0);
      ASSERT_NEAR(out.At(0, 0, x, 0), std::max(0.0, from), std::abs(from) * 1e-5) << from;
    }
  }
}

}  // namespace
}  // namespace vista::nn
