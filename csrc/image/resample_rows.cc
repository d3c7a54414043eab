#include "image/resample_rows.h"

#include <algorithm>
#include <array>
#include <optional>

#include "image/transpose.h"

namespace vista {
namespace {

constexpr int kWindow = 64;
constexpr int kDigits = 3;
constexpr int kGroup = 4;  // taps
constexpr int kMostPixels = 5;

int RoundUp(int bytes) { return (bytes + kLanes - 1) / kLanes * kLanes; }

// The digits of a weight, lowest first; none when it needs more of them.
std::optional<std::array<std::int8_t, kDigits>> DigitsOf(std::int32_t weight) {
  std::array<std::int8_t, kDigits> digits;
  for (std::int8_t& digit : digits) {
    digit = static_cast<std::int8_t>(weight);
    weight = (weight - digit) >> 8;
  }
  if (weight != 0) return std::nullopt;
  return digits;
}

}  // namespace

int PackedAxis::PixelsPerStep(const Axis& axis) {
  // A pixel's first group of taps is all of a window that it needs; the others have windows of
  // their own.
  constexpr int kReach = (kWindow - 3 * kGroup) / 3;
  int pixels = std::min(kMostPixels, axis.outputs());
  for (int i = 0; i < axis.outputs() && pixels > 1; ++i) {
    while (pixels > 1 &&
           axis.first(std::min(i + pixels, axis.outputs()) - 1) - axis.first(i) > kReach)
      --pixels;
  }
  return pixels;
}

PackedAxis::PackedAxis(const Axis& axis)
    : pixels_(PixelsPerStep(axis)),
      input_bytes_(3 * (axis.end() - axis.begin())),
      output_bytes_(3 * axis.outputs()) {
  int most = 0;
  for (int i = 0; i < axis.outputs(); ++i) most = std::max(most, axis.count(i));
  groups_ = (most + kGroup - 1) / kGroup;
  const int steps = (axis.outputs() + pixels_ - 1) / pixels_;
  offset_.resize(static_cast<std::size_t>(steps));
  gather_.resize(static_cast<std::size_t>(steps) * kWindow);
  digits_.resize(static_cast<std::size_t>(steps) * static_cast<std::size_t>(groups_) * kDigits *
                 kWindow);
  for (int step = 0; step < steps; ++step) {
    const int first = step * pixels_;
    PackStep(axis, step, first, std::min(pixels_, axis.outputs() - first));
  }
  if (!fits_) offset_.clear();
}

void PackedAxis::PackStep(const Axis& axis, int step, int first_pixel, int pixels) {
  const int start = axis.first(first_pixel);
  offset_[static_cast<std::size_t>(step)] = 3 * (start - axis.begin());
  std::uint8_t* gather = &gather_[static_cast<std::size_t>(step) * kWindow];
  std::int8_t* digits = &digits_[static_cast<std::size_t>(step) *
                                 static_cast<std::size_t>(groups_) * kDigits * kWindow];
  for (int p = 0; p < pixels; ++p) {
    const int i = first_pixel + p;
    const int shift = 3 * (axis.first(i) - start);
    for (int c = 0; c < 3; ++c) {
      for (int k = 0; k < kGroup; ++k) *gather++ = static_cast<std::uint8_t>(shift + 3 * k + c);
    }
    for (int tap = 0; tap < axis.count(i); ++tap) {
      const auto weight = DigitsOf(axis.weights(i)[tap]);
      fits_ = fits_ && weight.has_value();
      if (!fits_) return;
      std::int8_t* to = digits + tap / kGroup * (kDigits * kWindow) + 3 * kGroup * p + tap % kGroup;
      for (int d = 0; d < kDigits; ++d, to += kWindow) {
        for (int c = 0; c < 3; ++c) to[kGroup * c] = (*weight)[static_cast<std::size_t>(d)];
      }
    }
  }
}

PackedTaps PackedAxis::taps() const {
  return {offset_.data(), gather_.data(), digits_.data(), static_cast<int>(offset_.size()),
          groups_,        pixels_,        input_bytes_,   output_bytes_};
}

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

}  // namespace vista
