// A matrix of weights as its products take it.
#pragma once

#include <cstddef>
#include <vector>

#include "base/buffer.h"
#include "base/status.h"
#include "nn/kernels.h"

namespace vista::nn {

class PackedWeights {
 public:
  // `weights` are [outputs, groups, inputs]; the inputs of a group begin a block of depth. `bias`
  // holds a number for each output, or none. `interleaved`: of each block of depth the first half
  // and the second lie by turns, as activations inside of a step do. ResourceExhausted without
  // memory.
  static Result<PackedWeights> Make(const float* weights, int outputs, int groups, int inputs,
                                    const std::vector<float>& bias, Activation activation,
                                    int products, bool interleaved = false);

  [[nodiscard]] Weights View() const;
  [[nodiscard]] int outputs() const { return outputs_; }
  [[nodiscard]] int products() const { return products_; }
  [[nodiscard]] bool interleaved() const { return interleaved_; }
  [[nodiscard]] int groups() const { return groups_; }
  [[nodiscard]] int inputs() const { return inputs_; }  // of a group

 private:
  PackedWeights() = default;

  Buffer tiles_;
  std::vector<float> bias_;
  int outputs_ = 0;
  int products_ = 3;
  bool interleaved_ = false;
  int groups_ = 0;
  int inputs_ = 0;
  int depth_blocks_ = 0;
  Activation activation_ = Activation::kNone;
};

}  // namespace vista::nn
