// The weights of an axis laid out for loops that multiply bytes: PackedAxis along rows,
// PackedColumns down columns.
#pragma once

#include <cstdint>
#include <vector>

#include "image/resample_axis.h"
#include "image/resample_kernels.h"

namespace vista {

// A vector's bytes, where they are loaded fastest.
struct alignas(64) Block {
  std::uint8_t bytes[64];
};

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
  std::vector<Block> gather_;  // [steps]
  std::vector<Block> digits_;  // [steps, groups_, kDigits]
  int groups_ = 0;
  int pixels_ = 0;
  int input_bytes_ = 0;
  int output_bytes_ = 0;
  bool fits_ = true;
};

// What vertical_quads takes for each output row, where rows lie in quads from axis.begin() on.
class PackedColumns {
 public:
  // Empty when a weight does not fit three signed digits to the base 256.
  explicit PackedColumns(const Axis& axis);

  [[nodiscard]] bool empty() const { return first_.empty(); }
  // The first quad that an output row weighs, and how many it weighs.
  [[nodiscard]] int first(int i) const { return first_[static_cast<std::size_t>(i)]; }
  [[nodiscard]] int count(int i) const { return count_[static_cast<std::size_t>(i)]; }
  [[nodiscard]] int most() const { return most_; }
  [[nodiscard]] const std::int32_t* digits(int i) const {
    return &digits_[static_cast<std::size_t>(i) * static_cast<std::size_t>(most_) * kDigits];
  }

 private:
  std::vector<int> first_;
  std::vector<int> count_;
  std::vector<std::int32_t> digits_;  // [outputs, most_, kDigits], four signed bytes each
  int most_ = 0;
};

}  // namespace vista
