// Along one axis of a resize: which input positions each output position weighs, and how much.
#pragma once

#include <cstdint>
#include <vector>

#include "image/resample_kernels.h"
#include "image/resize.h"

namespace vista {

class Axis {
 public:
  // The positions from `begin` to `end` of `input` many become `output` many. Not for kNearest.
  Axis(int input, float begin, float end, int output, Filter filter);

  // Whether every output is its input, so that the pass can be left out.
  [[nodiscard]] bool identity() const { return identity_; }
  [[nodiscard]] int outputs() const { return static_cast<int>(first_.size()); }
  [[nodiscard]] int begin() const { return first_.front(); }
  [[nodiscard]] int end() const { return first_.back() + count_.back(); }
  [[nodiscard]] int first(int i) const { return first_[static_cast<std::size_t>(i)]; }
  [[nodiscard]] int count(int i) const { return count_[static_cast<std::size_t>(i)]; }
  [[nodiscard]] int most_taps() const { return stride_; }
  [[nodiscard]] Taps taps() const {
    return {first_.data(), count_.data(), weights_.data(), stride_};
  }
  [[nodiscard]] const std::int32_t* weights(int i) const {
    return &weights_[static_cast<std::size_t>(i) * static_cast<std::size_t>(stride_)];
  }

 private:
  template <typename Kernel>
  void Weigh(Kernel kernel, int input, float begin, float end);

  bool identity_;
  int stride_ = 0;
  std::vector<int> first_;
  std::vector<int> count_;
  std::vector<std::int32_t> weights_;
};

}  // namespace vista
