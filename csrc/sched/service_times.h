// ServiceTimes: what the Batches of one Op have taken so far, and so what the next one will.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/clock.h"

namespace vista::sched {

// Two estimates, both forgetting old Batches exponentially:
// - of a Batch by its number of calls n: the line fixed + per_call * n that fits best (weighted
//   least squares). While all Batches had one size, half of their time is taken to be fixed.
// - of one call by its size class (a power of two): its share of its Batch's time, which is divided
//   in proportion to size.
class ServiceTimes {
 public:
  // A Batch whose calls had these sizes took this long.
  void Observe(std::span<const double> sizes, Duration took);

  [[nodiscard]] Duration OfBatch(std::size_t calls) const;
  [[nodiscard]] Duration Fixed() const;
  [[nodiscard]] Duration PerCall() const;
  // Of a class that was never seen: scaled from the nearest class that was.
  [[nodiscard]] Duration OfCall(double size) const;

 private:
  struct Line {
    double fixed;
    double per_call;
  };
  void ObserveLine(double calls, double took);
  void Fit();

  static constexpr int kClasses = 64;
  static constexpr int kClassOfOne = 32;
  static int ClassOf(double size);

  Line line_ = {5e5, 5e5};  // ns; a guess that lasts until the first Batch has ended
  double weight_ = 0;
  double sum_n_ = 0;
  double sum_t_ = 0;
  double sum_nn_ = 0;
  double sum_nt_ = 0;
  std::array<float, kClasses> class_ns_{};  // 0: never seen
};

}  // namespace vista::sched
