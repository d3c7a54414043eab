// The steps of a network. Tensors are [n, h, w, channels] and go by the index of the step that
// makes them; 0 is the network's input.
#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "nn/kernels.h"
#include "nn/packed_weights.h"

namespace vista::nn {

// How a kernel slides over an image. What is beyond the image is zeros; MaxPool leaves it out.
struct Window {
  int height = 1, width = 1;
  int stride_height = 1, stride_width = 1;
  int top = 0, left = 0, bottom = 0, right = 0;  // pixels beyond the image
  bool same_upper = false;  // as many as leave ceil(size / stride), the odd one behind
};

// A tensor as a convolution takes it.
struct Input {
  int tensor = 0;
  int gate = -1;       // a Gate whose numbers are multiplied in, -1 for none
  int upsampling = 0;  // each value stands for a square of 2^upsampling pixels
  // Of 2 x 2 pixels the largest counts, at the top left; without a gate, upsampling, or planes.
  bool pooled = false;
};

// activation((inputs * first + bias) * scale + plus), or with activation(inputs * first + bias) in
// place of the inputs and second in place of first; inputs are a concatenation of channels.
struct Convolution {
  std::vector<Input> inputs;
  Window window;
  PackedWeights first;
  std::optional<PackedWeights> second;  // of a kernel of 1 x 1
  bool residual = false;  // the only input is added to the sum, as it is multiplied: with its gate
  int scale = -1;  // a Gate that the products are multiplied by, without `residual`; -1 for none
  int plus = -1;   // a tensor that is then added, -1 for none
  int plus_upsampling = 0;  // as an Input's
  int products = 3;
};

struct Depthwise {
  int input = 0;
  Window window;
  int channels = 0;
  std::vector<float> weights;  // [height * width, channels rounded up to 16]
  std::vector<float> bias;     // [channels rounded up to 16]
  bool relu = false;
};

// Numbers for each channel, [n, channels]: of the means m over an image,
// clamp(slope * (w2 * relu(w1 * m + b1) + b2) + offset, 0, 1) + raise.
struct Gate {
  int of = 0;
  int inner = 0, channels = 0;
  std::vector<float> first, first_bias;    // [inner, channels of `of`], [inner]
  std::vector<float> second, second_bias;  // [channels, inner], [channels]
  float slope = 0, offset = 0, raise = 0;
};

// input * gate + other, upsampled.
struct Blend {
  int input = 0;
  int gate = -1;
  int other = -1;
  int upsampling = 0;
};

struct MaxPool {
  int input = 0;
  Window window;
};

// Channels (row, column, channel) of a square of block x block pixels, to their places.
struct DepthToSpace {
  int input = 0;
  int block = 2;
};

using Step = std::variant<Convolution, Depthwise, Gate, Blend, MaxPool, DepthToSpace>;

}  // namespace vista::nn
