#include "nn/memory_plan.h"

#include <algorithm>

namespace vista::nn {
namespace {

struct Block {
  std::size_t begin = 0, end = 0;
};

std::size_t RoundedUp(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

bool LiveTogether(const Lifetime& one, const Lifetime& other) {
  return one.made <= other.last_read && other.made <= one.last_read;
}

// The lowest place of so many bytes between blocks in their order.
std::size_t LowestGap(const std::vector<Block>& taken, std::size_t bytes) {
  std::size_t at = 0;
  for (const Block& block : taken) {
    if (block.begin >= at + bytes) break;
    at = std::max(at, block.end);
  }
  return at;
}

}  // namespace

MemoryPlan PlanMemory(const std::vector<Lifetime>& tensors) {
  MemoryPlan plan;
  for (const Lifetime& tensor : tensors) {
    std::vector<Block> taken;
    for (std::size_t before = 0; before < plan.offsets.size(); ++before) {
      const std::size_t begin = plan.offsets[before];
      if (LiveTogether(tensors[before], tensor))
        taken.push_back({begin, begin + RoundedUp(tensors[before].bytes)});
    }
    std::sort(taken.begin(), taken.end(),
              [](const Block& one, const Block& two) { return one.begin < two.begin; });
    const std::size_t bytes = RoundedUp(tensor.bytes);
    plan.offsets.push_back(LowestGap(taken, bytes));
    plan.bytes = std::max(plan.bytes, plan.offsets.back() + bytes);
  }
  return plan;
}

}  // namespace vista::nn
