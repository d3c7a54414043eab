// RowResizer: the horizontal pass of a resize, a few rows at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "image/resample_axis.h"
#include "image/resample_kernels.h"
#include "image/resample_packed.h"

namespace vista {

class RowResizer {
 public:
  // The axis must outlive this.
  RowResizer(const Axis& axis, const ResampleKernels& kernels);

  // Rows that it likes to work on together.
  [[nodiscard]] int rows() const { return packed_.empty() ? kLanes : kPackedRows; }

  // Resizes `count` rows (at most rows()), which lie `stride` bytes apart and begin with pixel
  // axis.begin().
  void Run(const std::uint8_t* first, std::ptrdiff_t stride, int count, std::uint8_t* const* to);

  // Whether it can make quads: kPackedRows rows whose bytes lie side by side.
  [[nodiscard]] bool MakesQuads() const { return !packed_.empty(); }
  // The same of at most kPackedRows rows into a quad, which has room for the bytes of kPackedRows
  // output rows and kQuadSlack.
  void RunQuad(const std::uint8_t* first, std::ptrdiff_t stride, int count,
               std::uint8_t* quad) const;

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
