// RowResizer: the horizontal pass of a resize, a few rows at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "image/resample_axis.h"
#include "image/resample_kernels.h"

namespace vista {

// A PackedTaps and its memory.
class PackedAxis {
 public:
  PackedAxis() = default;
  // Empty when a weight does not fit three signed digits to the base 256.
  explicit PackedAxis(const Axis& axis);

  [[nodiscard]] bool empty() const { return offset_.empty(); }
  [[nodiscard]] PackedTaps taps() const;

 private:
  // The most output pixels, up to five, whose taps a window of 64 bytes holds.
  static int PixelsPerStep(const Axis& axis);
  void PackStep(const Axis& axis, int step, int first_pixel, int pixels);

  std::vector<int> offset_;
  std::vector<std::uint8_t> gather_;
  std::vector<std::int8_t> digits_;
  int groups_ = 0;
  int pixels_ = 0;
  int input_bytes_ = 0;
  int output_bytes_ = 0;
  bool fits_ = true;
};

class RowResizer {
 public:
  // The axis must outlive this.
  RowResizer(const Axis& axis, const ResampleKernels& kernels);

  // Rows that it likes to work on together.
  [[nodiscard]] int rows() const { return packed_.empty() ? kLanes : kPackedRows; }

  // Resizes `count` rows (at most rows()), which lie `stride` bytes apart and begin with pixel
  // axis.begin().
  void Run(const std::uint8_t* first, std::ptrdiff_t stride, int count, std::uint8_t* const* to);

 private:
  void RunPacked(const std::uint8_t* first, std::ptrdiff_t stride, int count,
                 std::uint8_t* const* to) const;

  const Axis& axis_;
  const ResampleKernels& kernels_;
  const PackedAxis packed_;
  const int input_bytes_;
  const int output_bytes_;
  std::vector<std::uint8_t> input_;   // [input pixels * 3, kLanes]
  std::vector<std::uint8_t> output_;  // [output pixels * 3, kLanes]
};

}  // namespace vista
