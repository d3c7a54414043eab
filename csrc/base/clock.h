// Clock: where the core reads the time. Scheduling decisions take a TimePoint, so tests drive them
// with a ManualClock.
#pragma once

#include <atomic>
#include <chrono>

namespace vista {

// Nanoseconds on the system's monotonic clock, the one that Python calls time.monotonic.
using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

inline constexpr TimePoint kNever = TimePoint::max();

// `from` plus `delay`, or kNever where that would overflow.
TimePoint After(TimePoint from, Duration delay);

class Clock {
 public:
  virtual ~Clock() = default;
  [[nodiscard]] virtual TimePoint Now() const = 0;
};

class SteadyClock final : public Clock {
 public:
  [[nodiscard]] TimePoint Now() const override;
};

// Stands still until it is told to move. Any thread may read and move it.
class ManualClock final : public Clock {
 public:
  [[nodiscard]] TimePoint Now() const override { return TimePoint(Duration(now_.load())); }
  void Advance(Duration step) { now_.fetch_add(step.count()); }

 private:
  std::atomic<Duration::rep> now_{0};
};

}  // namespace vista
