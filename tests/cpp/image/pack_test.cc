#include "image/pack.h"

#include <gtest/gtest.h>

#include <vector>

namespace vista {
namespace {

TEST(PackRgb, LeavesTheFourthByteOutOnEveryInstructionSet) {
  std::vector<std::uint8_t> from(4 * 50);
  for (std::size_t i = 0; i < from.size(); ++i) from[i] = static_cast<std::uint8_t>(7 * i + 1);
  for (const PackKernel* kernel : UsablePackKernels()) {
    for (std::size_t pixels = 0; pixels <= 50; ++pixels) {
      std::vector<std::uint8_t> out(3 * pixels + 1, 77);
      kernel->pack(from.data(), pixels, out.data());
      for (std::size_t i = 0; i < 3 * pixels; ++i)
        ASSERT_EQ(out[i], from[i / 3 * 4 + i % 3]) << kernel->name << ", " << pixels << " pixels";
      ASSERT_EQ(out.back(), 77) << kernel->name << " wrote past the end";
    }
  }
}

}  // namespace
}  // namespace vista
