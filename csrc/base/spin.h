// Looking again and again for a short while, before a thread blocks on what is about to come. To
// wake a thread that blocks takes tens of microseconds when its core has gone idle, more than a
// short call itself.
#pragma once

#include <sched.h>

#include <chrono>

namespace vista {

// About what one wake-up costs; longer would waste more than it can save.
inline constexpr std::chrono::microseconds kLongestSpin{50};

// Until `there()`, or kLongestSpin has passed; whether it is there. Others that want the core get
// it in between.
template <typename There>
bool SpinUntil(There there) {
  const auto until = std::chrono::steady_clock::now() + kLongestSpin;
  while (!there()) {
    if (std::chrono::steady_clock::now() >= until) return false;
    sched_yield();
  }
  return true;
}

}  // namespace vista
