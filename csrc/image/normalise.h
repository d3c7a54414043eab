// 8-bit pixels to normalised floats, channels apart: (value / 255 - mean) / std, rounded to float
// after each step as numpy does it there.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/status.h"
#include "image/pixels.h"

namespace vista {

using Channels = std::array<double, 3>;

// The normalised value of each pixel value, for red, green and blue.
struct NormalisationTable {
  std::array<std::array<float, 256>, 3> value;
  std::array<float, 3> mean;
  std::array<float, 3> std;
  // Whether the fastest kernel computes these values, bit for bit, which costs less than to look
  // them up.
  bool computable = false;
};

// Refuses numbers that are not finite and a std of 0 or below.
Status CheckNormalisation(const Channels& mean, const Channels& std);
// For numbers that pass this check; else its error.
Result<NormalisationTable> MakeNormalisationTable(const Channels& mean, const Channels& std);

struct NormaliseKernel {
  const char* name;  // "generic" or "avx512"
  // Writes out[c * plane + y * width + x] for the pixels of a block whose rows lie `stride` bytes
  // apart. `plane` may be negative.
  void (*block)(const std::uint8_t* from, std::ptrdiff_t stride, int width, int height,
                const NormalisationTable& table, float* out, std::ptrdiff_t plane);
  // Whether it computes what the table has; null for one that can only look up.
  bool (*computes)(const NormalisationTable& table);
};

// Those that this processor runs, slowest first. Their results are the same bits.
std::vector<const NormaliseKernel*> UsableNormaliseKernels();

// By the fastest of them.
void Normalise(const PixelView& pixels, const NormalisationTable& table, float* out,
               std::ptrdiff_t plane);

namespace generic {
extern const NormaliseKernel kNormalise;
}
namespace avx512 {
extern const NormaliseKernel kNormalise;
}

}  // namespace vista
