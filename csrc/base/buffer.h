// Buffer: uninitialised memory of pixels and tensors. A large one that is freed is kept for the
// next of its size, up to kIdleBytes in the process: fresh memory costs a page fault for each 4 KiB
// and its clearing, which is more than writing a crop of 448 x 448 takes. What is kept goes back to
// the system before an allocation fails.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace vista {

namespace buffer_internal {
// Gives memory back to where it came from.
struct Release {
  std::size_t capacity = 0;
  void operator()(std::uint8_t* data) const;
};
}  // namespace buffer_internal

// Aligned to 64 bytes.
using Buffer = std::unique_ptr<std::uint8_t, buffer_internal::Release>;

// The most that is kept for later, in bytes.
inline constexpr std::size_t kIdleBytes = std::size_t{1} << 30;

// Null when there is no memory.
Buffer AllocateBuffer(std::size_t bytes);

// What is kept for later now, in bytes.
std::size_t IdleBufferBytes();

}  // namespace vista
