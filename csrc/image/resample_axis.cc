#include "image/resample_axis.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace vista {
namespace {

double BoxWeight(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

double BilinearWeight(double x) {
  x = std::abs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

// Keys' cubic convolution kernel with a = -0.5.
double BicubicWeight(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

double Sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

double LanczosWeight(double x) { return -3.0 <= x && x < 3.0 ? Sinc(x) * Sinc(x / 3) : 0.0; }

struct Kernel {
  double (*weight)(double);
  double support;  // the weight is 0 farther than this from the centre
};

Kernel KernelOf(Filter filter) {
  switch (filter) {
    case Filter::kBilinear:
      return {BilinearWeight, 1.0};
    case Filter::kBicubic:
      return {BicubicWeight, 2.0};
    case Filter::kLanczos:
      return {LanczosWeight, 3.0};
    default:
      return {BoxWeight, 0.5};
  }
}

std::int32_t ToFixed(double weight) {
  const double scaled = weight * (1 << kWeightBits);
  return static_cast<std::int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

}  // namespace

Axis::Axis(int input, float begin, float end, int output, Filter filter)
    : identity_(output == input && begin == 0 && end == static_cast<float>(output)),
      first_(static_cast<std::size_t>(output)),
      count_(static_cast<std::size_t>(output)) {
  const Kernel kernel = KernelOf(filter);
  const double scale = static_cast<double>(end - begin) / output;
  const double stretch =
      std::max(scale, 1.0);  // when shrinking, the kernel grows: that is the antialiasing
  const double support = kernel.support * stretch;
  stride_ = static_cast<int>(std::ceil(support)) * 2 + 1;
  weights_.resize(static_cast<std::size_t>(output) * static_cast<std::size_t>(stride_));
  std::vector<double> exact(static_cast<std::size_t>(stride_));
  for (int i = 0; i < output; ++i) {
    const double centre = begin + (i + 0.5) * scale;
    const int low = std::max(static_cast<int>(centre - support + 0.5), 0);
    const int high = std::min(static_cast<int>(centre + support + 0.5), input);
    const auto count = static_cast<std::size_t>(std::max(high - low, 0));
    first_[static_cast<std::size_t>(i)] = low;
    count_[static_cast<std::size_t>(i)] = static_cast<int>(count);
    double total = 0.0;
    for (std::size_t k = 0; k < count; ++k) {
      exact[k] = kernel.weight((static_cast<double>(k) + low - centre + 0.5) * (1.0 / stretch));
      total += exact[k];
    }
    std::int32_t* weights =
        &weights_[static_cast<std::size_t>(i) * static_cast<std::size_t>(stride_)];
    for (std::size_t k = 0; k < count; ++k)
      weights[k] = ToFixed(total != 0.0 ? exact[k] / total : exact[k]);
  }
}

}  // namespace vista
