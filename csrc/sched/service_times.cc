#include "sched/service_times.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace vista::sched {
namespace {

constexpr double kMemory = 0.95;     // the weight that a Batch keeps at each later one
constexpr double kClassStep = 0.25;  // the share of a new measurement in a class's estimate
// A Batch that was interrupted by something else is no measure of the next: it counts as at most
// so many times what was expected.
constexpr double kLongestSurprise = 3;
// How strongly the guess that half of the time is fixed holds against sizes that hardly differ.
constexpr double kGuessWeight = 0.001;
constexpr Duration kFirstGuess = std::chrono::milliseconds(1);

constexpr double kLongestEstimate = 1e18;  // ns, a tenth of the longest Duration
constexpr double kSmallestSize = 1 / ServiceTimes::kLargestSize;

Duration Nanoseconds(double ns) {
  return Duration(static_cast<Duration::rep>(std::min(ns, kLongestEstimate)));
}

}  // namespace

int ServiceTimes::ClassOf(double size) {
  return std::clamp(std::ilogb(size) + kClassOfOne, 0, kClasses - 1);
}

void TimeLine::Observe(double x, double took) {
  if (weight_ > 1) took = std::min(took, kLongestSurprise * At(x));
  weight_ = kMemory * weight_ + 1;
  sum_x_ = kMemory * sum_x_ + x;
  sum_t_ = kMemory * sum_t_ + took;
  sum_xx_ = kMemory * sum_xx_ + x * x;
  sum_xt_ = kMemory * sum_xt_ + x * took;
  Fit();
}

void TimeLine::Fit() {
  const double mean_x = sum_x_ / weight_;
  const double mean_t = sum_t_ / weight_;
  const double guess = mean_t / (2 * mean_x);
  const double guess_weight = kGuessWeight * mean_x * mean_x;
  const double variance = std::max(sum_xx_ / weight_ - mean_x * mean_x, 0.0) + guess_weight;
  const double covariance = sum_xt_ / weight_ - mean_x * mean_t + guess_weight * guess;
  per_unit_ = std::clamp(covariance / variance, 0.0, mean_t / mean_x);
  fixed_ = mean_t - per_unit_ * mean_x;
}

void ServiceTimes::Observe(std::span<const double> sizes, Duration took) {
  if (sizes.empty()) return;
  const double ns = static_cast<double>(std::max(took, Duration(0)).count());
  const double total = std::accumulate(sizes.begin(), sizes.end(), 0.0);
  by_calls_.Observe(static_cast<double>(sizes.size()), ns);
  by_size_.Observe(std::clamp(total, kSmallestSize, kLargestSize), ns);
  const double per_size = ns / total;
  for (const double size : sizes) {
    float& known = class_ns_[static_cast<std::size_t>(ClassOf(size))];
    const double share = std::max(per_size * size, 1.0);
    known = static_cast<float>(known == 0 ? share : known + kClassStep * (share - known));
  }
}

Duration ServiceTimes::OfBatch(double total_size) const {
  return Nanoseconds(by_size_.At(std::min(total_size, kLargestSize)));
}

Duration ServiceTimes::Fixed() const { return Nanoseconds(by_calls_.fixed()); }

Duration ServiceTimes::PerCall() const { return Nanoseconds(by_calls_.per_unit()); }

Duration ServiceTimes::OfCall(double size) const {
  const int wanted = ClassOf(size);
  for (int distance = 0; distance < kClasses; ++distance) {
    for (const int each : {wanted - distance, wanted + distance}) {
      if (each < 0 || each >= kClasses) continue;
      const double known = class_ns_[static_cast<std::size_t>(each)];
      if (known > 0) return Nanoseconds(std::min(std::ldexp(known, wanted - each), 1e15));
    }
  }
  return kFirstGuess;
}

}  // namespace vista::sched
