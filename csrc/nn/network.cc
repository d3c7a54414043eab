#include "nn/network.h"

#include <algorithm>
#include <string>
#include <utility>

namespace vista::nn {
namespace {

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

// Of a tensor; eight doublings of a side still fit an int.
constexpr int kMostSide = 1 << 20;
constexpr std::int64_t kMostPixels = std::int64_t{1} << 28;

// The tensors and gates that a step reads.
std::vector<int> Read(const Step& step) {
  std::vector<int> read;
  const auto add = [&](int index) {
    if (index >= 0) read.push_back(index);
  };
  std::visit(Overloaded{[&](const Convolution& s) {
                          for (const Input& input : s.inputs) {
                            add(input.tensor);
                            add(input.gate);
                          }
                          add(s.scale);
                          add(s.plus);
                        },
                        [&](const Gate& s) { add(s.of); },
                        [&](const Blend& s) {
                          add(s.input);
                          add(s.gate);
                          add(s.other);
                        },
                        [&](const auto& s) { add(s.input); }},
             step);
  return read;
}

// Those that it reads as float32. Of a convolution's single products, the inputs count as bfloat16
// alone, unless something comes in before they are rounded, or they are added as they were.
std::vector<int> ReadWide(const Step& step) {
  const auto* const convolution = std::get_if<Convolution>(&step);
  if (convolution == nullptr) return Read(step);
  std::vector<int> read;
  if (convolution->plus >= 0) read.push_back(convolution->plus);
  for (const Input& input : convolution->inputs)
    if (convolution->products > 1 || convolution->residual || input.gate >= 0)
      read.push_back(input.tensor);
  return read;
}

bool MakesWide(const Step& step) {
  return !std::holds_alternative<Convolution>(step) && !std::holds_alternative<Depthwise>(step);
}

Result<Extent> Slid(const Window& w, Extent in) {
  const auto along = [&](int size, int kernel, int stride, int before, int behind) {
    if (w.same_upper) return (size + stride - 1) / stride;
    const int places = size + before + behind - kernel;
    return places < 0 ? 0 : places / stride + 1;
  };
  const Extent out = {along(in.height, w.height, w.stride_height, w.top, w.bottom),
                      along(in.width, w.width, w.stride_width, w.left, w.right)};
  if (out.height < 1 || out.width < 1) {
    return Status::InvalidArgument("an image gets smaller than a kernel of " +
                                   std::to_string(w.height) + " x " + std::to_string(w.width) +
                                   "; give a larger one");
  }
  return out;
}

Extent Upsampled(Extent extent, int levels) {
  return {extent.height << levels, extent.width << levels};
}

Status CheckSame(Extent one, Extent other) {
  if (one.height == other.height && one.width == other.width) return {};
  return Status::InvalidArgument(
      "tensors of " + std::to_string(one.height) + " x " + std::to_string(one.width) + " and of " +
      std::to_string(other.height) + " x " + std::to_string(other.width) +
      " pixels meet in a step; give images whose sides are multiples of the network's whole "
      "stride");
}

}  // namespace

Network::Network(int input_channels, const Kernels& kernels)
    : kernels_(&kernels),
      channels_{input_channels},
      is_gate_{false},
      summed_{false},
      wide_{true},
      last_use_{0} {}

Result<int> Network::Add(Step step) {
  const Result<int> channels = std::visit([this](const auto& s) { return Channels(s); }, step);
  if (!channels.ok()) return channels.status();
  for (const int index : Read(step)) last_use_[index] = channels_.size();
  const auto* const gate = std::get_if<Gate>(&step);
  if (gate == nullptr)
    for (const int index : ReadWide(step)) wide_[index] = true;
  if (gate != nullptr) summed_[gate->of] = true;
  channels_.push_back(channels.value());
  is_gate_.push_back(gate != nullptr);
  summed_.push_back(false);
  wide_.push_back(MakesWide(step));
  last_use_.push_back(channels_.size() - 1);
  steps_.push_back(std::move(step));
  if (gate == nullptr && !output_set_) output_ = static_cast<int>(steps_.size());
  return static_cast<int>(steps_.size());
}

Status Network::SetOutput(int tensor) {
  if (Status status = CheckPixels("the output", tensor); !status.ok()) return status;
  output_ = tensor;
  output_set_ = true;
  return {};
}

bool Network::IsRounded(int tensor) const { return !wide_[tensor] && tensor != output_; }

Result<Extent> Network::ExtentOf(const Step& step, const std::vector<Extent>& before) const {
  return std::visit(
      Overloaded{[&](const Convolution& s) -> Result<Extent> {
                   const Extent in = Upsampled(before[s.inputs[0].tensor], s.inputs[0].upsampling);
                   for (const Input& input : s.inputs) {
                     const Extent other = Upsampled(before[input.tensor], input.upsampling);
                     if (Status status = CheckSame(in, other); !status.ok()) return status;
                   }
                   const Result<Extent> out = Slid(s.window, in);
                   if (out.ok() && s.plus >= 0)
                     if (Status status =
                             CheckSame(out.value(), Upsampled(before[s.plus], s.plus_upsampling));
                         !status.ok())
                       return status;
                   return out;
                 },
                 [&](const Depthwise& s) { return Slid(s.window, before[s.input]); },
                 [&](const Gate&) -> Result<Extent> { return Extent{1, 1}; },
                 [&](const Blend& s) -> Result<Extent> {
                   const Extent extent = before[s.input];
                   if (s.other >= 0) {
                     const Extent other = Upsampled(before[s.other], s.upsampling);
                     if (Status status = CheckSame(extent, other); !status.ok()) return status;
                   }
                   return extent;
                 },
                 [&](const MaxPool& s) { return Slid(s.window, before[s.input]); },
                 [&](const DepthToSpace& s) -> Result<Extent> {
                   const Extent in = before[s.input];
                   return Extent{in.height * s.block, in.width * s.block};
                 }},
      step);
}

Result<std::vector<Extent>> Network::Extents(Extent image) const {
  if (image.height < 1 || image.width < 1 || std::max(image.height, image.width) > kMostSide ||
      static_cast<std::int64_t>(image.height) * image.width > kMostPixels) {
    return Status::InvalidArgument("an image must have 1 to 2^28 pixels, got " +
                                   std::to_string(image.height) + " x " +
                                   std::to_string(image.width));
  }
  std::vector<Extent> extents = {image};
  for (const Step& step : steps_) {
    const Result<Extent> extent = ExtentOf(step, extents);
    if (!extent.ok()) return extent.status();
    const auto [height, width] = extent.value();
    if (std::max(height, width) > kMostSide ||
        static_cast<std::int64_t>(height) * width > kMostPixels)
      return Status::InvalidArgument("a tensor would have " + std::to_string(height) + " x " +
                                     std::to_string(width) + " pixels; give a smaller image");
    extents.push_back(extent.value());
  }
  return extents;
}

Result<Extent> Network::OutputExtent(Extent image) const {
  const Result<std::vector<Extent>> extents = Extents(image);
  if (!extents.ok()) return extents.status();
  return extents.value()[output_];
}

}  // namespace vista::nn
