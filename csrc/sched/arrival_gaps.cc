#include "sched/arrival_gaps.h"

#include <algorithm>
#include <cmath>

namespace vista::sched {
namespace {

constexpr double kMemory = 0.99;  // the weight that a gap keeps at each later one
constexpr double kFittingStep = 0.02;
constexpr double kRescaleAt = 1e100;

}  // namespace

std::size_t ArrivalGaps::BinOf(Duration gap) {
  const double ns = std::max(1.0, static_cast<double>(gap.count()));
  return std::min(static_cast<std::size_t>(2 * std::log2(ns)), kBins - 1);
}

Duration ArrivalGaps::End(std::size_t bin) {
  return Duration(static_cast<Duration::rep>(std::exp2(0.5 * static_cast<double>(bin + 1))));
}

void ArrivalGaps::Arrive(TimePoint now, bool fits) {
  if (latest_ != kNever) {
    scale_ = scale_ == 0 ? 1 : scale_ / kMemory;
    weights_[BinOf(now - latest_)] += scale_;
    fitting_ += kFittingStep * ((fits ? 1 : 0) - fitting_);
    if (scale_ > kRescaleAt) {
      for (double& weight : weights_) weight /= scale_;
      scale_ = 1;
    }
  }
  latest_ = now;
}

}  // namespace vista::sched
