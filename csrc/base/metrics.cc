#include "base/metrics.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace vista {

std::size_t Histogram::BucketOf(std::uint64_t value) {
  if (value < (1U << kSubBits)) return value;
  const int exponent = static_cast<int>(std::bit_width(value)) - 1 - kSubBits;
  return (static_cast<std::size_t>(exponent) << kSubBits) + (value >> exponent);
}

std::uint64_t Histogram::UpperBound(std::size_t bucket) {
  if (bucket < (2U << kSubBits)) return bucket;
  const std::size_t exponent = (bucket >> kSubBits) - 1;
  const std::uint64_t mantissa = (bucket & ((1U << kSubBits) - 1)) | (1U << kSubBits);
  return ((mantissa + 1) << exponent) - 1;
}

void Histogram::Add(std::uint64_t value) {
  ++buckets_[BucketOf(value)];
  ++count_;
  max_ = std::max(max_, value);
  sum_ += static_cast<double>(value);
}

double Histogram::mean() const { return count_ == 0 ? 0 : sum_ / static_cast<double>(count_); }

std::uint64_t Histogram::CountWithin(int bits) const {
  std::uint64_t within = 0;
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    if (static_cast<int>(std::bit_width(UpperBound(bucket))) > bits) break;
    within += buckets_[bucket];
  }
  return within;
}

std::uint64_t Histogram::Quantile(double share) const {
  if (count_ == 0) return 0;
  const auto rank = std::max<std::uint64_t>(
      1, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_))));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
    seen += buckets_[bucket];
    if (seen >= rank) return std::min(UpperBound(bucket), max_);
  }
  return max_;
}

}  // namespace vista
