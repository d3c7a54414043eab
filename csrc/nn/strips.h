// A convolution and the depthwise one that alone reads it, a few rows at a time: what is between
// them stays in a core's cache.
#pragma once

#include <cstddef>
#include <cstdint>

#include "nn/kernels.h"

namespace vista::nn {

class Strips {
 public:
  static constexpr int kMostKernelRows = 7;  // of the depthwise one

  // `first` without an output, made in regions of so many columns; `second` without an input.
  Strips(const Kernels& kernels, const ConvolveArgs& first, const DepthwiseArgs& second,
         int columns);

  [[nodiscard]] std::size_t scratch_bytes() const;

  // Rows of the second's output. `scratch` is aligned to 64 bytes.
  void Make(const Region& band, double* sums, std::uint8_t* scratch) const;

 private:
  const Kernels& kernels_;
  ConvolveArgs first_;
  DepthwiseArgs second_;
  int rows_;  // of the first, at once
  int columns_;
  std::size_t first_bytes_;  // of scratch, before the ring
};

}  // namespace vista::nn
