#include "base/clock.h"

namespace vista {

TimePoint After(TimePoint from, Duration delay) {
  return delay > kNever - from ? kNever : from + delay;
}

TimePoint SteadyClock::Now() const {
  return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
}

}  // namespace vista
