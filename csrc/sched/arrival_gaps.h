// ArrivalGaps: how long after one call of an Op the next one comes.
#pragma once

#include <array>
#include <cstddef>

#include "base/clock.h"

namespace vista::sched {

// A histogram of the times between consecutive arrivals that forgets old ones exponentially. Its
// bins are half powers of two of a nanosecond.
class ArrivalGaps {
 public:
  // A call came; `fits` says that it could share a Batch with the one before.
  void Arrive(TimePoint now, bool fits);

  static constexpr std::size_t kBins = 84;  // the last one ends after more than an hour
  // Where a bin ends.
  static Duration End(std::size_t bin);

  // The weight of the gaps in a bin, and of all gaps; their ratio is a probability.
  [[nodiscard]] double weight(std::size_t bin) const { return weights_[bin]; }
  // The share of calls that could share a Batch with the one before.
  [[nodiscard]] double fitting() const { return fitting_; }
  [[nodiscard]] bool empty() const { return scale_ == 0; }

 private:
  static std::size_t BinOf(Duration gap);

  TimePoint latest_ = kNever;
  double fitting_ = 1;
  double scale_ = 0;  // the weight of the next gap: it grows, which is as if all others shrank
  std::array<double, kBins> weights_{};
};

}  // namespace vista::sched
