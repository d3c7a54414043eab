// Moments of a test, in milliseconds from its start.
#pragma once

#include <chrono>

#include "base/clock.h"

namespace vista::sched {

inline TimePoint At(int ms) { return TimePoint(std::chrono::milliseconds(ms)); }

}  // namespace vista::sched
