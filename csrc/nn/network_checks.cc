// What a step must be to follow those before it.
#include <string>
#include <variant>

#include "nn/network.h"

namespace vista::nn {
namespace {

Status Mismatch(const char* what, int wanted, int got) {
  return Status::InvalidArgument(std::string(what) + " must have " + std::to_string(wanted) +
                                 " channels, got " + std::to_string(got));
}

Status CheckWindow(const Window& w) {
  for (const int side : {w.height, w.width, w.stride_height, w.stride_width}) {
    if (side < 1)
      return Status::InvalidArgument("kernels and strides must be at least 1, got " +
                                     std::to_string(side));
  }
  for (const int pad : {w.top, w.left, w.bottom, w.right}) {
    if (pad < 0)
      return Status::InvalidArgument("pads must be at least 0, got " + std::to_string(pad));
  }
  return {};
}

bool IsPointwise(const Window& w) {
  return w.height == 1 && w.width == 1 && w.stride_height == 1 && w.stride_width == 1 &&
         w.top == 0 && w.left == 0 && w.bottom == 0 && w.right == 0;
}

std::size_t WholeVectors(int channels) {
  return (static_cast<std::size_t>(channels) + kLanes - 1) / kLanes * kLanes;
}

}  // namespace

Status Network::CheckTensor(const char* what, int index) const {
  if (index >= 0 && index < static_cast<int>(channels_.size()) && !is_gate_[index]) return {};
  return Status::InvalidArgument(std::string(what) + " must be a tensor made before, got " +
                                 std::to_string(index) + " of " + std::to_string(channels_.size()));
}

Status Network::CheckPixels(const char* what, int index) const {
  if (Status status = CheckTensor(what, index); !status.ok()) return status;
  if (index > 0) return {};
  return Status::InvalidArgument(std::string(what) +
                                 " must not be the network's input, which is planes");
}

Status Network::CheckGate(int index, int channels) const {
  if (index < 0) return {};
  if (index < static_cast<int>(channels_.size()) && is_gate_[index] && channels_[index] == channels)
    return {};
  return Status::InvalidArgument("gate must be one made before for " + std::to_string(channels) +
                                 " channels, got " + std::to_string(index));
}

Status Network::CheckInput(const Input& input) const {
  if (Status status = CheckTensor("input", input.tensor); !status.ok()) return status;
  if (Status status = CheckGate(input.gate, channels_[input.tensor]); !status.ok()) return status;
  constexpr int kMostDoublings = 8;
  if (input.upsampling < 0 || input.upsampling > kMostDoublings)
    return Status::InvalidArgument("upsampling must be 0 to 8 doublings, got " +
                                   std::to_string(input.upsampling));
  const bool changed = input.gate >= 0 || input.upsampling > 0;
  if (input.tensor == 0 && (changed || input.pooled))
    return CheckPixels("an input with a gate, upsampled or pooled", 0);
  if (input.pooled && changed)
    return Status::InvalidArgument("a pooled input must have no gate and no upsampling");
  return {};
}

Result<int> Network::Channels(const Convolution& s) const {
  if (s.inputs.empty() || s.inputs.size() > kMaxParts) {
    return Status::InvalidArgument("a convolution takes 1 to 4 tensors, got " +
                                   std::to_string(s.inputs.size()));
  }
  int channels = 0;
  for (const Input& input : s.inputs) {
    if (Status status = CheckInput(input); !status.ok()) return status;
    channels += channels_[input.tensor];
  }
  if (Status status = CheckWindow(s.window); !status.ok()) return status;
  if (s.first.groups() != s.window.height || s.first.inputs() != s.window.width * channels)
    return Status::InvalidArgument("weights don't fit " + std::to_string(channels) + " channels");
  const bool packed_so = s.first.products() == s.products && !s.first.interleaved() &&
                         (!s.second || (s.second->products() == s.products &&
                                        s.second->interleaved() && s.second->groups() == 1));
  if (!packed_so)
    return Status::InvalidArgument(
        "weights must be packed for the products and the place they have");
  if (s.second &&
      (s.window.height != 1 || s.window.width != 1 || s.second->inputs() != s.first.outputs()))
    return Status::InvalidArgument("second weights must be 1 x 1 over the first's outputs");
  const int outputs = s.second ? s.second->outputs() : s.first.outputs();
  if (s.residual) {
    if (s.inputs.size() != 1 || !IsPointwise(s.window) || s.inputs[0].upsampling != 0 ||
        s.inputs[0].pooled)
      return Status::InvalidArgument("the input is added to a 1 x 1 convolution of it alone");
    if (Status status = CheckPixels("an input that is added", s.inputs[0].tensor); !status.ok())
      return status;
    if (outputs != channels)
      return Mismatch("an output that the input is added to", channels, outputs);
  }
  if (Status status = CheckGate(s.scale, outputs); !status.ok()) return status;
  if (s.scale >= 0 && s.residual)
    return Status::InvalidArgument("products that the input is added to have no scale");
  if (s.plus >= 0) {
    if (Status status = CheckInput({s.plus, -1, s.plus_upsampling}); !status.ok()) return status;
    if (Status status = CheckPixels("plus", s.plus); !status.ok()) return status;
    if (channels_[s.plus] != outputs) return Mismatch("plus", outputs, channels_[s.plus]);
  }
  return outputs;
}

Result<int> Network::Channels(const Depthwise& s) const {
  if (Status status = CheckPixels("input", s.input); !status.ok()) return status;
  if (Status status = CheckWindow(s.window); !status.ok()) return status;
  if (channels_[s.input] != s.channels) return Mismatch("input", s.channels, channels_[s.input]);
  const std::size_t pitch = WholeVectors(s.channels);
  const std::size_t taps = static_cast<std::size_t>(s.window.height) * s.window.width;
  if (s.weights.size() != taps * pitch || s.bias.size() != pitch)
    return Status::InvalidArgument("weights and bias must be of whole vectors of 16 channels");
  return s.channels;
}

Result<int> Network::Channels(const Gate& s) const {
  if (Status status = CheckPixels("of", s.of); !status.ok()) return status;
  const Step& maker = steps_[s.of - 1];
  if (!std::holds_alternative<Convolution>(maker) && !std::holds_alternative<Depthwise>(maker))
    return Status::InvalidArgument("of must come out of a convolution");
  const auto inner = static_cast<std::size_t>(s.inner);
  if (s.first.size() != inner * channels_[s.of] || s.first_bias.size() != inner ||
      s.second.size() != inner * s.channels ||
      s.second_bias.size() != static_cast<std::size_t>(s.channels))
    return Status::InvalidArgument("a gate's weights don't fit " + std::to_string(channels_[s.of]) +
                                   " channels");
  return s.channels;
}

Result<int> Network::Channels(const Blend& s) const {
  if (Status status = CheckPixels("input", s.input); !status.ok()) return status;
  const int channels = channels_[s.input];
  if (Status status = CheckGate(s.gate, channels); !status.ok()) return status;
  if (s.other >= 0) {
    if (Status status = CheckPixels("other", s.other); !status.ok()) return status;
    if (channels_[s.other] != channels) return Mismatch("other", channels, channels_[s.other]);
    if (Status status = CheckInput({s.other, -1, s.upsampling}); !status.ok()) return status;
  }
  return channels;
}

Result<int> Network::Channels(const MaxPool& s) const {
  if (Status status = CheckPixels("input", s.input); !status.ok()) return status;
  if (Status status = CheckWindow(s.window); !status.ok()) return status;
  // Else a window might hold no pixel.
  const Window& w = s.window;
  if (w.top >= w.height || w.bottom >= w.height || w.left >= w.width || w.right >= w.width)
    return Status::InvalidArgument("pads of a pool must be smaller than its kernel");
  return channels_[s.input];
}

Result<int> Network::Channels(const DepthToSpace& s) const {
  if (Status status = CheckPixels("input", s.input); !status.ok()) return status;
  if (s.block < 1)
    return Status::InvalidArgument("block must be at least 1, got " + std::to_string(s.block));
  const int square = s.block * s.block;
  if (channels_[s.input] % square != 0) return Mismatch("input", square, channels_[s.input]);
  return channels_[s.input] / square;
}

}  // namespace vista::nn
