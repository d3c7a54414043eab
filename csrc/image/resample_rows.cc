#include "image/resample_rows.h"

#include <algorithm>

#include "image/transpose.h"

namespace vista {
namespace {

int RoundUp(int bytes) { return (bytes + kLanes - 1) / kLanes * kLanes; }

}  // namespace

RowResizer::RowResizer(const Axis& axis, const ResampleKernels& kernels)
    : axis_(axis),
      kernels_(kernels),
      packed_(kernels.packed != nullptr ? PackedAxis(axis) : PackedAxis()),
      input_bytes_(3 * (axis.end() - axis.begin())),
      output_bytes_(3 * axis.outputs()) {
  if (!packed_.empty()) return;
  input_.resize(static_cast<std::size_t>(RoundUp(input_bytes_)) * kLanes);
  output_.resize(static_cast<std::size_t>(RoundUp(output_bytes_)) * kLanes);
}

void RowResizer::Run(const std::uint8_t* first, std::ptrdiff_t stride, int count,
                     std::uint8_t* const* to) {
  if (!packed_.empty()) {
    RunPacked(first, stride, count, to);
    return;
  }
  const std::uint8_t* from[kLanes];
  for (int i = 0; i < kLanes; ++i) from[i] = first + std::min(i, count - 1) * stride;
  RowsToColumns(from, input_bytes_, input_.data());
  kernels_.horizontal(input_.data(), axis_.begin(), axis_.taps(), axis_.outputs(), output_.data());
  ColumnsToRows(output_.data(), output_bytes_, count, to);
}

void RowResizer::RunPacked(const std::uint8_t* first, std::ptrdiff_t stride, int count,
                           std::uint8_t* const* to) const {
  const std::uint8_t* from[kPackedRows];
  std::uint8_t* out[kPackedRows];
  for (int i = 0; i < kPackedRows; ++i) {
    from[i] = first + std::min(i, count - 1) * stride;
    out[i] = to[std::min(i, count - 1)];
  }
  kernels_.packed(from, packed_.taps(), out);
}

void RowResizer::RunQuad(const std::uint8_t* first, std::ptrdiff_t stride, int count,
                         std::uint8_t* quad) const {
  const std::uint8_t* from[kPackedRows];
  for (int i = 0; i < kPackedRows; ++i) from[i] = first + std::min(i, count - 1) * stride;
  kernels_.packed_quad(from, packed_.taps(), quad);
}

}  // namespace vista
