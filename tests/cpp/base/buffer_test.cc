#include "base/buffer.h"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <thread>
#include <vector>

namespace vista {
namespace {

constexpr std::size_t kLarge = 600'000;

TEST(Buffer, HoldsWhatWasAskedFor) {
  for (const std::size_t bytes : {0u, 1u, 63u, 64u, 1000u, 131'071u, 131'072u, 163'841u, 600'000u,
                                  4'000'000u, 134'217'728u, 134'217'729u}) {
    const Buffer buffer = AllocateBuffer(bytes);
    ASSERT_NE(buffer, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.get()) % 64, 0u);
    EXPECT_GE(buffer.get_deleter().capacity, bytes);
    EXPECT_LE(buffer.get_deleter().capacity, bytes + bytes / 4 + 64);
    if (bytes > 0) std::memset(buffer.get(), 1, bytes);
  }
}

#if !defined(__SANITIZE_ADDRESS__)  // under which nothing is kept

TEST(Buffer, ALargeOneIsUsedAgain) {
  std::uint8_t* first = AllocateBuffer(kLarge).release();
  Buffer held(first, {AllocateBuffer(kLarge).get_deleter().capacity});
  const std::size_t before = IdleBufferBytes();
  const std::size_t capacity = held.get_deleter().capacity;
  held.reset();
  EXPECT_EQ(IdleBufferBytes(), before + capacity);
  EXPECT_EQ(AllocateBuffer(kLarge - 100).get(), first) << "a little less fits into the same";
  EXPECT_EQ(IdleBufferBytes(), before + capacity);
}

#endif

#if !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)  // whose allocators end the test

TEST(Buffer, IsNullWhenThereIsNoMemory) {
  EXPECT_EQ(AllocateBuffer(std::size_t{1} << 62), nullptr);
}

#endif

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

std::size_t AddressSpace() {
  std::size_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

void AllocateWhereOnlyIdleMemoryIsLeft() {
  constexpr std::size_t kEach = std::size_t{100} << 20;
  std::vector<Buffer> held;
  for (int i = 0; i < 4; ++i) held.push_back(AllocateBuffer(kEach));
  held.clear();
  const rlimit limit = {AddressSpace() + kEach, RLIM_INFINITY};
  setrlimit(RLIMIT_AS, &limit);
  std::exit(AllocateBuffer(3 * kEach) != nullptr ? 0 : 1);
}

TEST(BufferDeathTest, IdleMemoryIsGivenUpBeforeAnAllocationFails) {
  EXPECT_EXIT(AllocateWhereOnlyIdleMemoryIsLeft(), ::testing::ExitedWithCode(0), "");
}

#endif

TEST(Buffer, NoMoreIsKeptThanAllowed) {
  std::vector<Buffer> held;
  constexpr std::size_t kEach = std::size_t{100} << 20;
  for (std::size_t total = 0; total < 2 * kIdleBytes; total += kEach)
    held.push_back(AllocateBuffer(kEach));
  held.clear();
  EXPECT_LE(IdleBufferBytes(), kIdleBytes);
}

#if !defined(__SANITIZE_ADDRESS__)

TEST(Buffer, ASizeInUseDisplacesOneThatIsNot) {
  std::vector<Buffer> held;
  constexpr std::size_t kEach = std::size_t{48} << 20;
  for (std::size_t total = 0; total < kIdleBytes; total += kEach)
    held.push_back(AllocateBuffer(kEach));
  held.clear();
  constexpr std::size_t kBatch = std::size_t{320} << 20;
  AllocateBuffer(kBatch).reset();
  EXPECT_LE(IdleBufferBytes(), kIdleBytes);
  const std::size_t before = IdleBufferBytes();
  const Buffer again = AllocateBuffer(kBatch);
  EXPECT_EQ(IdleBufferBytes() + again.get_deleter().capacity, before);
}

#endif

TEST(Buffer, ThreadsNeverShareOne) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([t] {
      for (int i = 0; i < 300; ++i) {
        const Buffer buffer = AllocateBuffer(200'000);
        std::memset(buffer.get(), t, 200'000);
        for (std::size_t at = 0; at < 200'000; at += 4096) ASSERT_EQ(buffer.get()[at], t);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace vista
