#include "nn/memory_plan.h"

#include <gtest/gtest.h>

#include <random>

namespace vista::nn {
namespace {

TEST(MemoryPlan, OverwritesWhatHasBeenRead) {
  // A chain: each is read by the next alone.
  const MemoryPlan chain = PlanMemory({{0, 0, 1}, {640, 1, 2}, {640, 2, 3}, {640, 3, 4}});
  EXPECT_EQ(chain.offsets, std::vector<std::size_t>({0, 0, 640, 0}));
  EXPECT_EQ(chain.bytes, 1280);
  // The first lives on; what comes goes behind it, into the lowest gap that is wide enough.
  const MemoryPlan kept =
      PlanMemory({{64, 1, 9}, {640, 2, 3}, {64, 3, 4}, {128, 4, 5}, {640, 5, 6}});
  EXPECT_EQ(kept.offsets, std::vector<std::size_t>({0, 64, 704, 64, 192}));
}

TEST(MemoryPlan, BeginsTensorsAtWholeLines) {
  const MemoryPlan plan = PlanMemory({{1, 1, 2}, {65, 1, 2}, {3, 1, 2}});
  EXPECT_EQ(plan.offsets, std::vector<std::size_t>({0, 64, 192}));
  EXPECT_EQ(plan.bytes, 256);
  EXPECT_EQ(PlanMemory({}).bytes, 0);
}

TEST(MemoryPlan, LaysApartWhatLivesAtTheSameTime) {
  std::mt19937 random(1);
  const auto below = [&](int limit) { return static_cast<std::size_t>(random()) % limit; };
  for (int round = 0; round < 200; ++round) {
    std::vector<Lifetime> tensors;
    for (std::size_t step = 1; step < 30; ++step)
      tensors.push_back({below(4) == 0 ? 0 : below(5000), step, step + below(8)});
    const MemoryPlan plan = PlanMemory(tensors);
    ASSERT_EQ(plan.offsets.size(), tensors.size());
    for (std::size_t one = 0; one < tensors.size(); ++one) {
      EXPECT_LE(plan.offsets[one] + tensors[one].bytes, plan.bytes);
      EXPECT_EQ(plan.offsets[one] % 64, 0);
      for (std::size_t other = one + 1; other < tensors.size(); ++other) {
        if (tensors[other].made > tensors[one].last_read) continue;
        const bool apart = plan.offsets[one] + tensors[one].bytes <= plan.offsets[other] ||
                           plan.offsets[other] + tensors[other].bytes <= plan.offsets[one];
        EXPECT_TRUE(apart || tensors[one].bytes == 0 || tensors[other].bytes == 0);
      }
    }
  }
}

}  // namespace
}  // namespace vista::nn
