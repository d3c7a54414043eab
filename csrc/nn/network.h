// A network of convolutions on a CPU with AVX-512 BF16, best with AMX.
#pragma once

#include <cstddef>
#include <vector>

#include "base/status.h"
#include "nn/kernels.h"
#include "nn/steps.h"

namespace vista::nn {

struct Extent {
  int height = 0, width = 0;
};

// Built step by step, then run from any thread. Calls at the same time share the threads, with
// those of other networks too.
class Network {
 public:
  // `kernels` stay alive.
  Network(int input_channels, const Kernels& kernels);

  // The index of the tensor, or of the gate, that the step makes. InvalidArgument where its inputs
  // are not there, or don't fit it.
  Result<int> Add(Step step);
  // What Run gives; the latest step's before any call.
  Status SetOutput(int tensor);

  [[nodiscard]] int input_channels() const { return channels_[0]; }
  [[nodiscard]] int output_channels() const { return channels_[output_]; }
  // The size of the output for images of a size. InvalidArgument for one that the steps can't take.
  [[nodiscard]] Result<Extent> OutputExtent(Extent image) const;

  // `in` is [n, channels, h, w], `out` [n, output channels, h', w']. ResourceExhausted without
  // memory.
  Status Run(const float* in, int batch, Extent image, float* out, int threads) const;

 private:
  friend class Execution;
  friend class Tensors;

  // Whether all that a tensor is for is what single products take of it.
  [[nodiscard]] bool IsRounded(int tensor) const;
  [[nodiscard]] Status CheckTensor(const char* what, int index) const;
  // A tensor that is not the network's input, of which values of a pixel lie together.
  [[nodiscard]] Status CheckPixels(const char* what, int index) const;
  [[nodiscard]] Status CheckGate(int index, int channels) const;
  [[nodiscard]] Status CheckInput(const Input& input) const;
  // Of what a step makes, where it fits those before it.
  [[nodiscard]] Result<int> Channels(const Convolution& s) const;
  [[nodiscard]] Result<int> Channels(const Depthwise& s) const;
  [[nodiscard]] Result<int> Channels(const Gate& s) const;
  [[nodiscard]] Result<int> Channels(const Blend& s) const;
  [[nodiscard]] Result<int> Channels(const MaxPool& s) const;
  [[nodiscard]] Result<int> Channels(const DepthToSpace& s) const;
  // Of each tensor; gates have none.
  [[nodiscard]] Result<std::vector<Extent>> Extents(Extent image) const;
  [[nodiscard]] Result<Extent> ExtentOf(const Step& step, const std::vector<Extent>& before) const;

  const Kernels* kernels_;
  std::vector<Step> steps_;    // of tensors 1 and up
  std::vector<int> channels_;  // of each tensor and gate
  std::vector<bool> is_gate_;
  std::vector<bool> summed_;  // whether a gate asks for the means
  std::vector<bool> wide_;    // whether float32 is made, or read
  std::vector<std::size_t> last_use_;
  int output_ = 0;
  bool output_set_ = false;
};

}  // namespace vista::nn
