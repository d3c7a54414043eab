#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <string>

#include "networks.h"

namespace vista::nn {
namespace {

using testing::Activated;
using testing::Bench;
using testing::Convolving;
using testing::Grid;
using testing::Packed;
using testing::Tolerance;
using testing::Uniform;

class ConvolutionOn : public testing::OnKernels {};
VISTA_ON_EACH_KERNELS(ConvolutionOn);

constexpr Activation kActivations[] = {Activation::kNone, Activation::kRelu, Activation::kGelu,
                                       Activation::kSigmoid};
constexpr int kSizes[][2] = {{1, 1}, {1, 7}, {3, 2}, {5, 9}, {7, 33}, {13, 17}, {16, 41}};
constexpr int kChannels[] = {1, 3, 12, 24, 33, 48};

std::string Words(const Window& w, const Grid& in, int outputs, int products) {
  return std::to_string(w.height) + "x" + std::to_string(w.width) + " by " +
         std::to_string(w.stride_height) + "," + std::to_string(w.stride_width) +
         (w.same_upper ? " same" : "") + " of " + std::to_string(in.height) + "x" +
         std::to_string(in.width) + "x" + std::to_string(in.channels) + " to " +
         std::to_string(outputs) + ", products " + std::to_string(products);
}

template <typename Array>
auto OneOf(const Array& array, std::mt19937& random) {
  return array[random() % std::size(array)];
}

Window RandomWindow(int height, int width, const Grid& in, std::mt19937& random) {
  constexpr int kStrides[][2] = {{1, 1}, {2, 2}, {2, 1}};
  const auto& stride = kStrides[random() % 3];
  Window w = {.height = height,
              .width = width,
              .stride_height = stride[0],
              .stride_width = stride[1],
              .same_upper = random() % 2 == 0};
  const auto pad = [&](int kernel) { return static_cast<int>(random() % kernel); };
  w.top = pad(height), w.bottom = std::max(pad(height), height - in.height - w.top);
  w.left = pad(width), w.right = std::max(pad(width), width - in.width - w.left);
  return w;
}

struct Shape {
  int height, width;
  bool planes;
};

void CheckConvolution(const Kernels& kernels, Grid image, const Shape& kernel, int outputs,
                      int products, std::mt19937& random) {
  Bench bench(std::move(image), kernels);
  const int from = kernel.planes ? 0 : bench.AddPixels();
  const Grid in = bench.Tensor(from);
  const Window w = RandomWindow(kernel.height, kernel.width, in, random);
  const auto weights = Uniform(
      static_cast<std::size_t>(outputs) * kernel.height * kernel.width * in.channels, random);
  const auto bias = Uniform(outputs, random);
  const Activation activation = OneOf(kActivations, random);
  Convolution step = Convolving(
      {{from}}, w, Packed(weights, outputs, w.height, bias, activation, products), products);
  Grid wanted = Convolved(in, w, weights, bias);
  if (random() % 2 == 0) {
    // Of the output's size, by a kernel that is as large.
    const int other = bench.Add(Convolving(
        {{from}}, w,
        Packed(Uniform(weights.size(), random), outputs, w.height, {}, Activation::kNone, 3)));
    step.plus = other;
    wanted = Sum(std::move(wanted), bench.Tensor(other));
  }
  const double tolerance = Tolerance(products, Largest(wanted));
  const int index = bench.Add(std::move(step));
  ExpectClose(bench.Tensor(index), Activated(activation, std::move(wanted)), tolerance,
              Words(w, in, outputs, products));
}

TEST_P(ConvolutionOn, IsThatOfDoubles) {
  std::mt19937 random(1);
  for (const int channels : kChannels) {
    for (const Shape kernel : {Shape{1, 1, false},
                               {1, 1, true},
                               {2, 2, false},
                               {2, 2, true},
                               {3, 3, false},
                               {3, 3, true},
                               {1, 7, false},
                               {1, 7, true}}) {
      for (const int products : {1, 3}) {
        for (int repeat = 0; repeat < 3; ++repeat) {
          const auto& size = kSizes[random() % std::size(kSizes)];
          const int batch = 1 + static_cast<int>(random() % 2);
          CheckConvolution(kernels(),
                           testing::RandomGrid(batch, size[0], size[1], channels, random), kernel,
                           OneOf(kChannels, random), products, random);
        }
      }
    }
  }
}

TEST_P(ConvolutionOn, HasNoSeamsBetweenRegions) {
  std::mt19937 random(2);
  for (const Shape kernel : {Shape{3, 3, true}, {3, 3, false}, {2, 2, false}, {1, 7, false}})
    CheckConvolution(kernels(), testing::RandomGrid(1, 37, 291, 3, random), kernel, 20, 3, random);
  for (const Shape kernel : {Shape{1, 1, false}, {1, 1, true}})
    CheckConvolution(kernels(), testing::RandomGrid(2, 29, 161, 12, random), kernel, 33, 3, random);
  CheckConvolution(kernels(), testing::RandomGrid(1, 1, 700, 12, random), {1, 7, false}, 24, 3,
                   random);
}

TEST_P(ConvolutionOn, ChainsASecond) {
  std::mt19937 random(3);
  for (const int hidden : {12, 16, 24, 32, 40, 48, 64, 80}) {
    for (const int products : {1, 3}) {
      for (const bool residual : {false, true}) {
        for (const bool gated : {false, true}) {
          const auto& size = kSizes[random() % std::size(kSizes)];
          const int channels = OneOf(kChannels, random);
          const int outputs = residual ? channels : OneOf(kChannels, random);
          Bench bench(testing::RandomGrid(2, size[0], size[1], channels, random), kernels());
          const int from = bench.AddPixels();
          Grid in = bench.Tensor(from);
          Input input = {from};
          if (gated) {
            const Gate gate = testing::RandomGate(from, channels, channels, random);
            in = Gated(std::move(in), GateOf(gate, in));
            input.gate = bench.Add(gate);
          }
          Window w;
          if (!residual && random() % 2 == 0) w.stride_height = w.stride_width = 2;
          const auto first = Uniform(static_cast<std::size_t>(hidden) * channels, random);
          const auto second = Uniform(static_cast<std::size_t>(outputs) * hidden, random);
          const auto first_bias = Uniform(hidden, random);
          const auto second_bias = Uniform(outputs, random);
          const Activation inner = OneOf(kActivations, random);
          const Activation outer = OneOf(kActivations, random);
          Grid wanted = Convolved(Activated(inner, Convolved(in, w, first, first_bias)), {}, second,
                                  second_bias);
          if (residual) wanted = Sum(std::move(wanted), in);
          const double tolerance = Tolerance(products, Largest(wanted));
          Convolution step = Convolving(
              {input}, w, Packed(first, hidden, 1, first_bias, inner, products), products);
          step.second = Packed(second, outputs, 1, second_bias, outer, products, true);
          step.residual = residual;
          const int index = bench.Add(std::move(step));
          ExpectClose(bench.Tensor(index), Activated(outer, std::move(wanted)), tolerance,
                      Words(w, in, outputs, products) + " by way of " + std::to_string(hidden) +
                          (residual ? ", residual" : "") + (gated ? ", gated" : ""));
        }
      }
    }
  }
}

TEST_P(ConvolutionOn, AddsTheInputToOneMatrix) {
  std::mt19937 random(4);
  for (const int channels : kChannels) {
    Bench bench(testing::RandomGrid(2, 5, 9, channels, random), kernels());
    const int from = bench.AddPixels();
    const Grid in = bench.Tensor(from);
    const Gate gate = testing::RandomGate(from, channels, channels, random);
    const Grid gated = Gated(in, GateOf(gate, in));
    const int numbers = bench.Add(gate);
    const auto weights = Uniform(static_cast<std::size_t>(channels) * channels, random);
    const auto bias = Uniform(channels, random);
    Convolution step =
        Convolving({{from, numbers}}, {}, Packed(weights, channels, 1, bias, Activation::kRelu, 3));
    step.residual = true;
    step.plus = from;
    const int index = bench.Add(std::move(step));
    const Grid wanted = Sum(Sum(Convolved(gated, {}, weights, bias), gated), in);
    ExpectClose(bench.Tensor(index), Activated(Activation::kRelu, wanted),
                Tolerance(3, Largest(wanted)), std::to_string(channels) + " channels");
  }
}

TEST_P(ConvolutionOn, ScalesWhatItAddsACoarserTensorTo) {
  std::mt19937 random(6);
  for (const Shape kernel : {Shape{1, 1, false}, {3, 3, false}}) {
    for (const int upsampling : {0, 1, 2}) {
      for (const int channels : {3, 24, 48}) {
        Bench bench(testing::RandomGrid(2, 12, 76, channels, random), kernels());
        const int from = bench.AddPixels();
        const Grid in = bench.Tensor(from);
        const int stride = 1 << upsampling;
        const int coarse = bench.Add(
            Convolving({{from}}, {.stride_height = stride, .stride_width = stride},
                       Packed(Uniform(static_cast<std::size_t>(channels) * channels, random),
                              channels, 1, {}, Activation::kNone, 3)));
        const Gate gate = testing::RandomGate(from, channels, channels, random);
        const int numbers = bench.Add(gate);
        const Window w = {.height = kernel.height, .width = kernel.width, .same_upper = true};
        const auto weights = Uniform(
            static_cast<std::size_t>(channels) * channels * kernel.height * kernel.width, random);
        const auto bias = Uniform(channels, random);
        Convolution step = Convolving(
            {{from}}, w, Packed(weights, channels, w.height, bias, Activation::kRelu, 3));
        step.scale = numbers;
        step.plus = coarse;
        step.plus_upsampling = upsampling;
        const int index = bench.Add(std::move(step));
        const Grid scaled = Gated(Convolved(in, w, weights, bias), GateOf(gate, in));
        const Grid wanted = Sum(scaled, testing::Upsampled(bench.Tensor(coarse), upsampling));
        ExpectClose(bench.Tensor(index), Activated(Activation::kRelu, wanted),
                    Tolerance(3, Largest(wanted)), Words(w, in, channels, 3));
      }
    }
  }
}

TEST_P(ConvolutionOn, TakesSeveralTensorsAsOne) {
  std::mt19937 random(5);
  for (const Shape kernel : {Shape{1, 1, false}, {1, 1, true}, {3, 3, false}, {3, 3, true}}) {
    for (const int products : {1, 3}) {
      Bench bench(testing::RandomGrid(2, 12, 20, 3, random), kernels());
      const int fine = bench.AddChannels(0, 3, 12, random);
      const Window half = {.height = 2, .width = 2, .stride_height = 2, .stride_width = 2};
      const int middle =
          bench.AddChannels(bench.Add(MaxPool{.input = fine, .window = half}), 12, 33, random);
      const int coarse =
          bench.AddChannels(bench.Add(MaxPool{.input = middle, .window = half}), 33, 5, random);
      const Gate of_fine = testing::RandomGate(middle, 33, 12, random);
      const Gate of_coarse = testing::RandomGate(coarse, 5, 5, random);
      std::vector<Input> inputs = {
          {.tensor = fine, .gate = bench.Add(of_fine)},
          {.tensor = middle, .upsampling = 1},
          {.tensor = coarse, .gate = bench.Add(of_coarse), .upsampling = 2}};
      std::vector<Grid> parts = {
          Gated(bench.Tensor(fine), GateOf(of_fine, bench.Tensor(middle))),
          testing::Upsampled(bench.Tensor(middle), 1),
          testing::Upsampled(Gated(bench.Tensor(coarse), GateOf(of_coarse, bench.Tensor(coarse))),
                             2)};
      if (kernel.planes) {
        inputs.insert(inputs.begin() + 1, Input{0});
        parts.insert(parts.begin() + 1, bench.in);
      }
      const Grid in = testing::Joined(parts);
      const Window w = RandomWindow(kernel.height, kernel.width, in, random);
      const auto weights =
          Uniform(static_cast<std::size_t>(24) * w.height * w.width * in.channels, random);
      const auto bias = Uniform(24, random);
      const int index = bench.Add(Convolving(
          inputs, w, Packed(weights, 24, w.height, bias, Activation::kGelu, products), products));
      const Grid wanted = Convolved(in, w, weights, bias);
      ExpectClose(bench.Tensor(index), Activated(Activation::kGelu, wanted),
                  Tolerance(products, Largest(wanted)), Words(w, in, 24, products));
    }
  }
}

TEST_P(ConvolutionOn, TakesTheLargestOfFour) {
  std::mt19937 random(6);
  for (const auto& size : kSizes) {
    for (const Shape kernel : {Shape{1, 1, false}, {3, 3, false}}) {
      Bench bench(testing::RandomGrid(2, size[0], size[1], 24, random), kernels());
      const int from = bench.AddPixels();
      const Grid in = bench.Tensor(from);
      Grid pooled = in;
      pooled.Fill([&](int image, int y, int x, int c) {
        const int below = std::min(y + 1, in.height - 1), right = std::min(x + 1, in.width - 1);
        return std::max({in.At(image, y, x, c), in.At(image, y, right, c),
                         in.At(image, below, x, c), in.At(image, below, right, c)});
      });
      const Grid both = testing::Joined({pooled, in});
      const Window w = RandomWindow(kernel.height, kernel.width, in, random);
      const auto weights = Uniform(static_cast<std::size_t>(33) * w.height * w.width * 48, random);
      const auto bias = Uniform(33, random);
      const int index =
          bench.Add(Convolving({{.tensor = from, .pooled = true}, {from}}, w,
                               Packed(weights, 33, w.height, bias, Activation::kNone, 3)));
      const Grid wanted = Convolved(both, w, weights, bias);
      ExpectClose(bench.Tensor(index), wanted, Tolerance(3, Largest(wanted)),
                  Words(w, both, 33, 3));
    }
  }
}

}  // namespace
}  // namespace vista::nn
