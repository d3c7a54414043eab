// The inner loops of resizing, once per instruction set. All give the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vista {

// Weights are fixed-point numbers with this many fraction bits: 32 less 8 for the pixel and 2 for
// overshoot, as Pillow's.
inline constexpr int kWeightBits = 32 - 8 - 2;
// Rows that one call of `horizontal` resizes; a multiple of every vector width.
inline constexpr int kLanes = 16;

// Where an output pixel's input begins, how many input pixels it weighs, and its weights.
struct Taps {
  const int* first;             // [outputs]
  const int* count;             // [outputs]
  const std::int32_t* weights;  // [outputs, stride]
  int stride;
};

// Taps laid out for loops that multiply bytes: a weight is three signed digits to the base 256,
// lowest first, and four taps of one channel lie next to each other. A step makes `pixels` output
// pixels of 3 channels, one per lane of 4 bytes.
struct PackedTaps {
  const int* offset;           // [steps], the byte of the row at which a step's window begins
  const std::uint8_t* gather;  // [steps, 64], which byte of the window meets each weight
  const std::int8_t* digits;   // [steps, groups, 3, 64]; each group's window begins 4 pixels later
  int steps;
  int groups;
  int pixels;
  int input_bytes;   // of a row; nothing beyond is read
  int output_bytes;  // of a row
};

struct ResampleKernels {
  const char* name;  // "generic", "avx2", "avx512" or "vnni"
  // out[i] = sum over k of weights[k] * rows[k][i], for i below `bytes`.
  void (*vertical)(const std::uint8_t* const* rows, const std::int32_t* weights, int taps,
                   std::size_t bytes, std::uint8_t* out);
  // Resizes kLanes rows that lie side by side: columns [pixels * 3, kLanes] in, out [outputs * 3,
  // kLanes]. `origin` is the pixel that columns begins with.
  void (*horizontal)(const std::uint8_t* columns, int origin, const Taps& taps, int outputs,
                     std::uint8_t* out);
  // Resizes kPackedRows rows as they are; several of them may be the same one. Null where an
  // instruction set has no products of bytes.
  void (*packed)(const std::uint8_t* const* rows, const PackedTaps& taps, std::uint8_t* const* out);
  // The same into a quad: byte i of row r goes to quad[4 * i + r]. Null where `packed` is.
  void (*packed_quad)(const std::uint8_t* const* rows, const PackedTaps& taps, std::uint8_t* quad);
  // As `vertical`, of the rows in `count` quads; digits [count, kDigits] has four signed bytes
  // each, one per row. Null where `packed` is.
  void (*vertical_quads)(const std::uint8_t* const* quads, const std::int32_t* digits, int count,
                         std::size_t bytes, std::uint8_t* out);
};

inline constexpr int kPackedRows = 4;
// Digits to the base 256 that make up a weight.
inline constexpr int kDigits = 3;
// What the loops over quads may read or write beyond a quad's end.
inline constexpr int kQuadSlack = 256;

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
namespace vnni {
extern const ResampleKernels kKernels;
}

}  // namespace vista
