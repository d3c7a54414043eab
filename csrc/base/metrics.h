// Histogram: a distribution of durations or sizes in fixed memory. Not synchronised: its owner's
// lock guards it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace vista {

// Counts non-negative integers in buckets whose width is at most 1/8 of their value; sum, minimum
// and maximum are exact.
class Histogram {
 public:
  void Add(std::uint64_t value);

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] std::uint64_t max() const { return max_; }
  [[nodiscard]] double sum() const { return sum_; }
  [[nodiscard]] double mean() const;
  // The value that the given share of the counted values does not exceed, up to the width of a
  // bucket; 0 when empty.
  [[nodiscard]] std::uint64_t Quantile(double share) const;
  // How many of the counted values have at most so many bits, that is, are below 2^bits. Exact.
  [[nodiscard]] std::uint64_t CountWithin(int bits) const;

 private:
  static constexpr int kSubBits = 3;  // 8 buckets per power of two
  static constexpr std::size_t kBuckets = (64 - kSubBits + 1) << kSubBits;
  static std::size_t BucketOf(std::uint64_t value);
  static std::uint64_t UpperBound(std::size_t bucket);

  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
  double sum_ = 0;
};

}  // namespace vista
