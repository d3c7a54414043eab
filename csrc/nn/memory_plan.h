// Where the tensors of a run lie in one memory.
#pragma once

#include <cstddef>
#include <vector>

namespace vista::nn {

// A tensor is made in a step and read for the last time in another.
struct Lifetime {
  std::size_t bytes = 0;
  std::size_t made = 0;
  std::size_t last_read = 0;
};

struct MemoryPlan {
  std::vector<std::size_t> offsets;  // of each tensor, multiples of 64
  std::size_t bytes = 0;
};

// Those that live at the same time lie apart, each as low as it can: what is made next overwrites
// what has just been read, which is in the caches still.
MemoryPlan PlanMemory(const std::vector<Lifetime>& tensors);

}  // namespace vista::nn
