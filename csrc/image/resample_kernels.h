// The inner loops of resizing, once per instruction set. All give the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vista {

// Weights are fixed-point numbers with this many fraction bits: 32 less 8 for the pixel and 2 for
// overshoot, as Pillow's.
inline constexpr int kWeightBits = 32 - 8 - 2;
// Rows that one call of `horizontal` works on; a multiple of every vector width.
inline constexpr int kLanes = 16;

// Where an output pixel's input begins, how many input pixels it weighs, and its weights.
struct Taps {
  const int* first;             // [outputs]
  const int* count;             // [outputs]
  const std::int32_t* weights;  // [outputs, stride]
  int stride;
};

struct ResampleKernels {
  // out[i] = sum over k of weights[k] * rows[k][i], for i below `bytes`.
  void (*vertical)(const std::uint8_t* const* rows, const std::int32_t* weights, int taps,
                   std::size_t bytes, std::uint8_t* out);
  // Rows lie side by side: columns [pixels * 3, kLanes] in, out [outputs * 3, kLanes]. `origin` is
  // the pixel that columns begins with.
  void (*horizontal)(const std::uint8_t* columns, int origin, const Taps& taps, int outputs,
                     std::uint8_t* out);
};

// Those that this processor runs, slowest first.
std::vector<const ResampleKernels*> UsableResampleKernels();
// The fastest of them.
const ResampleKernels& BestResampleKernels();

namespace generic {
extern const ResampleKernels kKernels;
}
namespace avx2 {
extern const ResampleKernels kKernels;
}
namespace avx512 {
extern const ResampleKernels kKernels;
}

}  // namespace vista
