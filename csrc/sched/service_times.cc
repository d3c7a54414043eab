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

Duration Nanoseconds(double ns) { return Duration(static_cast<Duration::rep>(ns)); }

}  // namespace

int ServiceTimes::ClassOf(double size) {
  return std::clamp(std::ilogb(size) + kClassOfOne, 0, kClasses - 1);
}

void ServiceTimes::Observe(std::span<const double> sizes, Duration took) {
  if (sizes.empty()) return;
  const double ns = static_cast<double>(took.count());
  ObserveLine(static_cast<double>(sizes.size()), ns);
  const double per_size = ns / std::accumulate(sizes.begin(), sizes.end(), 0.0);
  for (const double size : sizes) {
    float& known = class_ns_[static_cast<std::size_t>(ClassOf(size))];
    const double share = std::max(per_size * size, 1.0);
    known = static_cast<float>(known == 0 ? share : known + kClassStep * (share - known));
  }
}

void ServiceTimes::ObserveLine(double calls, double took) {
  if (weight_ > 1) {
    took = std::min(took, kLongestSurprise * (line_.fixed + line_.per_call * calls));
  }
  weight_ = kMemory * weight_ + 1;
  sum_n_ = kMemory * sum_n_ + calls;
  sum_t_ = kMemory * sum_t_ + took;
  sum_nn_ = kMemory * sum_nn_ + calls * calls;
  sum_nt_ = kMemory * sum_nt_ + calls * took;
  Fit();
}

void ServiceTimes::Fit() {
  const double mean_n = sum_n_ / weight_;
  const double mean_t = sum_t_ / weight_;
  const double guess = mean_t / (2 * mean_n);
  const double guess_weight = kGuessWeight * mean_n * mean_n;
  const double variance = std::max(sum_nn_ / weight_ - mean_n * mean_n, 0.0) + guess_weight;
  const double covariance = sum_nt_ / weight_ - mean_n * mean_t + guess_weight * guess;
  line_.per_call = std::clamp(covariance / variance, 0.0, mean_t / mean_n);
  line_.fixed = mean_t - line_.per_call * mean_n;
}

Duration ServiceTimes::OfBatch(std::size_t calls) const {
  return Nanoseconds(line_.fixed + line_.per_call * static_cast<double>(calls));
}

Duration ServiceTimes::Fixed() const { return Nanoseconds(line_.fixed); }

Duration ServiceTimes::PerCall() const { return Nanoseconds(line_.per_call); }

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
