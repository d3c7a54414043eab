// ServiceTimes: what the Batches of one Op have taken so far, and so what the next one will.
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "base/clock.h"

namespace vista::sched {

// The line fixed + per_unit * x that fits what was measured best (weighted least squares, in ns).
// Old measurements are forgotten exponentially. While all had one x, half of the time is taken to
// be fixed.
class TimeLine {
 public:
  // The first guess lasts until something was measured.
  TimeLine(double fixed, double per_unit) : fixed_(fixed), per_unit_(per_unit) {}

  void Observe(double x, double took);
  [[nodiscard]] double At(double x) const { return fixed_ + per_unit_ * x; }
  [[nodiscard]] double fixed() const { return fixed_; }
  [[nodiscard]] double per_unit() const { return per_unit_; }

 private:
  void Fit();

  double fixed_;
  double per_unit_;
  double weight_ = 0;
  double sum_x_ = 0;
  double sum_t_ = 0;
  double sum_xx_ = 0;
  double sum_xt_ = 0;
};

// Three estimates:
// - of a Batch by its number of calls, which tells a policy what one more is worth.
// - of a Batch by the total size of its calls, which tells when it must start.
// - of one call by its size class (a power of two): its share of its Batch's time, which is divided
//   in proportion to size. It forgets old Batches exponentially too, but not what a class was worth
//   that has not come for long.
class ServiceTimes {
 public:
  // Larger calls count as being of this size. Its square, and sums of them, are no problem.
  static constexpr double kLargestSize = 1e18;

  // A Batch whose calls had these sizes took this long.
  void Observe(std::span<const double> sizes, Duration took);

  [[nodiscard]] Duration OfBatch(double total_size) const;
  [[nodiscard]] Duration Fixed() const;
  [[nodiscard]] Duration PerCall() const;
  // Of a class that was never seen: scaled from the nearest class that was.
  [[nodiscard]] Duration OfCall(double size) const;

 private:
  static constexpr int kClasses = 64;
  static constexpr int kClassOfOne = 32;
  static int ClassOf(double size);

  TimeLine by_calls_{5e5, 5e5};
  TimeLine by_size_{1e6, 0};                // nothing is known of the unit of size yet
  std::array<float, kClasses> class_ns_{};  // 0: never seen
};

}  // namespace vista::sched
