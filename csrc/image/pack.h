// Pixels of four bytes, as other libraries keep RGB, to three.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vista {

struct PackKernel {
  const char* name;  // "generic" or "ssse3"
  // Leaves the fourth byte of each pixel out.
  void (*pack)(const std::uint8_t* from, std::size_t pixels, std::uint8_t* to);
};

// Those that this processor runs, slowest first. Their results are the same bytes.
std::vector<const PackKernel*> UsablePackKernels();

// By the fastest of them.
void PackRgb(const std::uint8_t* from, std::size_t pixels, std::uint8_t* to);

}  // namespace vista
