#include "nn/strips.h"

#include <algorithm>

#include "nn/scratch.h"

namespace vista::nn {
namespace {

constexpr int kRingRows = 8;
static_assert((kRingRows & (kRingRows - 1)) == 0, "a mask finds a row in the ring");
static_assert(Strips::kMostKernelRows < kRingRows);

}  // namespace

Strips::Strips(const Kernels& kernels, const ConvolveArgs& first, const DepthwiseArgs& second,
               int columns)
    : kernels_(kernels),
      first_(first),
      second_(second),
      // The rest of the ring are rows that a kernel which wants for its last row has begun with.
      rows_(kRingRows - (second.kernel_height - 1)),
      columns_(columns),
      first_bytes_(LayOut(first, {0, 0, rows_, 0, columns}, nullptr).bytes) {
  first_.out.ring = second_.ring = kRingRows - 1;
}

std::size_t Strips::scratch_bytes() const {
  return first_bytes_ +
         static_cast<std::size_t>(kRingRows) * second_.width * second_.channels * sizeof(float);
}

void Strips::Make(const Region& band, double* sums, std::uint8_t* scratch) const {
  ConvolveArgs first = first_;
  DepthwiseArgs second = second_;
  first.out.data = reinterpret_cast<float*>(scratch + first_bytes_);
  second.in = first.out.data;
  second.sums = sums;
  const auto first_input = [&](int y) { return y * second.stride_height - second.pad_top; };
  // Of a row, and of those above it.
  const auto inputs_end = [&](int y) {
    return std::min(second.height, first_input(y) + second.kernel_height);
  };
  const int end = band.row + band.rows;
  int made = std::max(0, first_input(band.row));
  for (int y = band.row; y < end;) {
    const int until = std::min(made + rows_, inputs_end(end - 1));
    for (int x = 0; x < first.out_width && made < until; x += columns_)
      kernels_.convolve(
          first, {band.image, made, until - made, x, std::min(columns_, first.out_width - x)},
          scratch);
    made = until;
    int ready = 0;
    while (y + ready < end && inputs_end(y + ready) <= made) ++ready;
    kernels_.depthwise(second, {band.image, y, ready, 0, second.out_width});
    y += ready;
  }
}

}  // namespace vista::nn
