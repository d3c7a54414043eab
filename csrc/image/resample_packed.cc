#include "image/resample_packed.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>

namespace vista {
namespace {

constexpr int kWindow = 64;
constexpr int kGroup = 4;  // taps
constexpr int kMostPixels = 5;

// One digit of up to kGroup weights, a byte each, the first of them in the lowest.
using Words = std::array<std::uint32_t, kDigits>;

// The digits of weights, lowest first, from byte `at` on; false when one needs more digits.
bool AddDigits(const std::int32_t* weights, int count, int at, Words* words) {
  bool fits = true;
  for (int k = 0; k < count; ++k) {
    std::int32_t rest = weights[k];
    for (std::uint32_t& word : *words) {
      const auto digit = static_cast<std::int8_t>(rest);
      word |= std::uint32_t{static_cast<std::uint8_t>(digit)} << (8 * (at + k));
      rest = (rest - digit) >> 8;
    }
    fits = fits && rest == 0;
  }
  return fits;
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
  gather_.resize(static_cast<std::size_t>(steps));
  digits_.resize(static_cast<std::size_t>(steps) * static_cast<std::size_t>(groups_) * kDigits);
  for (int step = 0; step < steps; ++step) {
    const int first = step * pixels_;
    PackStep(axis, step, first, std::min(pixels_, axis.outputs() - first));
  }
  if (!fits_) offset_.clear();
}

void PackedAxis::PackStep(const Axis& axis, int step, int first_pixel, int pixels) {
  const int start = axis.first(first_pixel);
  offset_[static_cast<std::size_t>(step)] = 3 * (start - axis.begin());
  std::uint8_t* gather = gather_[static_cast<std::size_t>(step)].bytes;
  Block* digits =
      &digits_[static_cast<std::size_t>(step) * static_cast<std::size_t>(groups_) * kDigits];
  for (int p = 0; p < pixels; ++p) {
    const int i = first_pixel + p;
    const int shift = 3 * (axis.first(i) - start);
    for (int c = 0; c < 3; ++c) {
      for (int k = 0; k < kGroup; ++k) *gather++ = static_cast<std::uint8_t>(shift + 3 * k + c);
    }
    for (int tap = 0; tap < axis.count(i); tap += kGroup) {
      Words words = {};
      const int count = std::min(kGroup, axis.count(i) - tap);
      fits_ = fits_ && AddDigits(axis.weights(i) + tap, count, 0, &words);
      Block* to = digits + tap / kGroup * kDigits;
      for (const std::uint32_t word : words) {
        for (int c = 0; c < 3; ++c)
          std::memcpy(to->bytes + kGroup * (3 * p + c), &word, sizeof word);
        ++to;
      }
    }
  }
}

PackedTaps PackedAxis::taps() const {
  return {offset_.data(),
          gather_.front().bytes,
          reinterpret_cast<const std::int8_t*>(digits_.front().bytes),
          static_cast<int>(offset_.size()),
          groups_,
          pixels_,
          input_bytes_,
          output_bytes_};
}

PackedColumns::PackedColumns(const Axis& axis)
    : first_(static_cast<std::size_t>(axis.outputs())),
      count_(static_cast<std::size_t>(axis.outputs())) {
  const int outputs = axis.outputs();
  for (int i = 0; i < outputs; ++i) {
    const int row = axis.first(i) - axis.begin();
    const auto at = static_cast<std::size_t>(i);
    first_[at] = row / kPackedRows;
    count_[at] = (row + axis.count(i) + kPackedRows - 1) / kPackedRows - first_[at];
    most_ = std::max(most_, count_[at]);
  }
  digits_.resize(static_cast<std::size_t>(outputs) * static_cast<std::size_t>(most_) * kDigits);
  for (int i = 0; i < outputs; ++i) {
    std::int32_t* to =
        &digits_[static_cast<std::size_t>(i) * static_cast<std::size_t>(most_) * kDigits];
    int skipped = axis.first(i) - axis.begin() - kPackedRows * first(i);
    for (int tap = 0; tap < axis.count(i); skipped = 0, to += kDigits) {
      Words words = {};
      const int count = std::min(kPackedRows - skipped, axis.count(i) - tap);
      if (!AddDigits(axis.weights(i) + tap, count, skipped, &words)) {
        first_.clear();
        return;
      }
      std::memcpy(to, words.data(), sizeof words);
      tap += count;
    }
  }
}

}  // namespace vista
