#include "image/resample_axis.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace vista {
namespace {

// A filter's weight at a distance from the centre; 0 farther away than its support.
struct BoxKernel {
  static constexpr double kSupport = 0.5;
  double operator()(double x) const { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }
};

struct BilinearKernel {
  static constexpr double kSupport = 1.0;
  double operator()(double x) const {
    x = std::abs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
  }
};

// Keys' cubic convolution kernel with a = -0.5.
struct BicubicKernel {
  static constexpr double kSupport = 2.0;
  double operator()(double x) const {
    constexpr double a = -0.5;
    x = std::abs(x);
    const double near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    const double far = (((x - 5) * x + 8) * x - 4) * a;
    return x < 1.0 ? near : x < 2.0 ? far : 0.0;
  }
};

double Sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= std::numbers::pi;
  return std::sin(x) / x;
}

struct LanczosKernel {
  static constexpr double kSupport = 3.0;
  double operator()(double x) const { return -3.0 <= x && x < 3.0 ? Sinc(x) * Sinc(x / 3) : 0.0; }
};

std::int32_t ToFixed(double weight) {
  const double scaled = weight * (1 << kWeightBits);
  return static_cast<std::int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
}

}  // namespace

Axis::Axis(int input, float begin, float end, int output, Filter filter)
    : identity_(output == input && begin == 0 && end == static_cast<float>(output)),
      first_(static_cast<std::size_t>(output)),
      count_(static_cast<std::size_t>(output)) {
  switch (filter) {
    case Filter::kBilinear:
      Weigh(BilinearKernel(), input, begin, end);
      break;
    case Filter::kBicubic:
      Weigh(BicubicKernel(), input, begin, end);
      break;
    case Filter::kLanczos:
      Weigh(LanczosKernel(), input, begin, end);
      break;
    default:
      Weigh(BoxKernel(), input, begin, end);
      break;
  }
}

template <typename Kernel>
void Axis::Weigh(Kernel kernel, int input, float begin, float end) {
  const double scale = static_cast<double>(end - begin) / outputs();
  const double stretch =
      std::max(scale, 1.0);  // when shrinking, the kernel grows: that is the antialiasing
  const double support = Kernel::kSupport * stretch;
  stride_ = static_cast<int>(std::ceil(support)) * 2 + 1;
  weights_.resize(first_.size() * static_cast<std::size_t>(stride_));
  std::vector<double> exact(static_cast<std::size_t>(stride_));
  for (int i = 0; i < outputs(); ++i) {
    const double centre = begin + (i + 0.5) * scale;
    const int low = std::max(static_cast<int>(centre - support + 0.5), 0);
    const int high = std::min(static_cast<int>(centre + support + 0.5), input);
    const int count = std::max(high - low, 0);
    first_[static_cast<std::size_t>(i)] = low;
    count_[static_cast<std::size_t>(i)] = count;
    double* const weight = exact.data();
    for (int k = 0; k < count; ++k) weight[k] = kernel((k + low - centre + 0.5) * (1.0 / stretch));
    double total = 0.0;
    for (int k = 0; k < count; ++k) total += weight[k];
    std::int32_t* fixed =
        &weights_[static_cast<std::size_t>(i) * static_cast<std::size_t>(stride_)];
    const double whole = total != 0.0 ? total : 1.0;
    for (int k = 0; k < count; ++k) fixed[k] = ToFixed(weight[k] / whole);
  }
}

}  // namespace vista
