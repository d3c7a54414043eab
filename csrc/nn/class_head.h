// The last layer of a network that names the likeliest of many classes.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "nn/kernels.h"
#include "nn/packed_weights.h"
#include "nn/team.h"

namespace vista::nn {

// Of each row x, the largest of weights * x + bias, and what a softmax makes of it. Rows take some
// milliseconds for thousands of classes; what the other classes get is not written.
class ClassHead {
 public:
  // `weights` are [classes, depth], `bias` [classes]; `kernels` stay alive. ResourceExhausted
  // without memory.
  static Result<ClassHead> Make(const float* weights, int classes, int depth,
                                const std::vector<float>& bias, int products,
                                const Kernels& kernels);

  [[nodiscard]] int depth() const { return depth_; }

  // `rows` are [count, depth]; `classes` and `probabilities` [count]. Where the class is `ignored`
  // its probability is 0. Of equal ones the first class counts; a NaN counts for nothing. Calls at
  // the same time share the threads, as a network's do.
  Status Run(const float* rows, int count, std::int64_t ignored, int threads, std::int64_t* classes,
             float* probabilities) const;

 private:
  ClassHead(PackedWeights weights, std::vector<float> bias, int depth, int products,
            const Kernels& kernels);

  // Of rows that are split already.
  Status Classify(const Bf16* high, const Bf16* low, ClassifyArgs args, int count,
                  std::int64_t ignored, Team& team, std::int64_t* classes,
                  float* probabilities) const;

  PackedWeights weights_;
  std::vector<float> bias_;  // -infinity beyond the classes
  int depth_;
  int products_;
  const Kernels* kernels_;
};

}  // namespace vista::nn
