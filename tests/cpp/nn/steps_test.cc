#include "nn/steps.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <tuple>
#include <utility>

#include "networks.h"

namespace vista::nn {
namespace {

using testing::Bench;
using testing::Grid;
using testing::Uniform;

class StepsOn : public testing::OnKernels {};
VISTA_ON_EACH_KERNELS(StepsOn);

constexpr int kStrides[][2] = {{1, 1}, {2, 2}, {2, 1}};
constexpr int kKernels[][2] = {{3, 3}, {5, 5}, {7, 7}, {1, 7}};

std::string Words(const Window& w, const Grid& in) {
  return std::to_string(w.height) + "x" + std::to_string(w.width) + " by " +
         std::to_string(w.stride_height) + "," + std::to_string(w.stride_width) +
         (w.same_upper ? " same" : "") + " of " + std::to_string(in.height) + "x" +
         std::to_string(in.width) + "x" + std::to_string(in.channels);
}

// With and without zeros around the image, at least as many as the kernel needs.
Window Placed(const int (&kernel)[2], const int (&stride)[2], bool same, const Grid& in,
              std::mt19937& random) {
  Window w = {.height = kernel[0],
              .width = kernel[1],
              .stride_height = stride[0],
              .stride_width = stride[1],
              .same_upper = same};
  if (same) return w;
  const auto pads = [&](int size, int k) {
    const int before = static_cast<int>(random() % k);
    return std::pair(before, std::max(static_cast<int>(random() % k), k - size - before));
  };
  std::tie(w.top, w.bottom) = pads(in.height, w.height);
  std::tie(w.left, w.right) = pads(in.width, w.width);
  return w;
}

TEST_P(StepsOn, DepthwiseIsThatOfDoubles) {
  std::mt19937 random(1);
  constexpr int kSizes[][2] = {{1, 1}, {2, 3}, {3, 20}, {9, 33}};
  for (const int channels : {5, 16, 40, 1040}) {
    for (const auto& size : kSizes) {
      Bench bench(testing::RandomGrid(channels > 99 ? 1 : 2, size[0], size[1], 3, random),
                  kernels());
      const int from = bench.AddChannels(0, 3, channels, random);
      const Grid in = bench.Tensor(from);
      const std::size_t padded = (channels + 15) / 16 * 16;
      for (const auto& kernel : kKernels) {
        for (const auto& stride : kStrides) {
          for (const bool same : {false, true}) {
            const Window w = Placed(kernel, stride, same, in, random);
            const auto weights =
                Uniform(static_cast<std::size_t>(w.height) * w.width * channels, random);
            const auto bias = Uniform(channels, random);
            const Activation activation = random() % 2 == 0 ? Activation::kRelu : Activation::kNone;
            Depthwise step = {.input = from,
                              .window = w,
                              .channels = channels,
                              .weights = {},
                              .bias = bias,
                              .relu = activation == Activation::kRelu};
            for (std::size_t at = 0; at < weights.size(); at += channels) {
              step.weights.insert(step.weights.end(), &weights[at], &weights[at] + channels);
              step.weights.resize(step.weights.size() + padded - channels, 0);
            }
            step.bias.resize(padded, 0);
            const Grid sums = DepthwiseConvolved(in, w, weights, bias);
            const int index = bench.Add(std::move(step));
            ExpectClose(bench.Tensor(index), Activated(activation, sums),
                        1e-5 * std::max(1.0, Largest(sums)), Words(w, in));
          }
        }
      }
    }
  }
}

TEST_P(StepsOn, MaxPoolTakesTheLargestInsideTheImage) {
  std::mt19937 random(2);
  constexpr int kSizes[][2] = {{1, 1}, {7, 9}, {20, 35}};
  constexpr int kPooled[][2] = {{2, 2}, {3, 3}, {1, 5}, {2, 1}};
  for (const int channels : {5, 16, 40}) {
    for (const int batch : {2, 3}) {
      for (const auto& size : kSizes) {
        Bench bench(testing::RandomGrid(batch, size[0], size[1], channels, random), kernels());
        const int from = bench.AddPixels();
        const Grid in = bench.Tensor(from);
        for (const auto& kernel : kPooled) {
          for (const auto& stride : kStrides) {
            Window w = Placed(kernel, stride, true, in, random);
            if (size[0] > 1) {
              w.same_upper = random() % 2 == 0;
              w.left = w.width / 2, w.bottom = w.height / 2;
            }
            Grid wanted = Outputs(w, in, channels);
            wanted.Fill([&](int image, int y, int x, int c) {
              double most = -std::numeric_limits<double>::infinity();
              ForTaps(w, in, y, x, [&](int, int, int row, int column) {
                most = std::max(most, in.At(image, row, column, c));
              });
              return most;
            });
            const int index = bench.Add(MaxPool{.input = from, .window = w});
            ExpectClose(bench.Tensor(index), wanted, 0, Words(w, in));
          }
        }
      }
    }
  }
}

TEST_P(StepsOn, BlendAddsWhatIsCoarser) {
  std::mt19937 random(3);
  for (const int channels : {5, 16, 40}) {
    for (const int batch : {2, 3}) {
      for (const int levels : {0, 1, 2}) {
        Bench bench(testing::RandomGrid(batch, 12, 20, channels, random), kernels());
        const int from = bench.AddPixels();
        const Window window = {
            .height = 1, .width = 1, .stride_height = 1 << levels, .stride_width = 1 << levels};
        const int coarse = bench.Add(MaxPool{.input = from, .window = window});
        const Gate gate = testing::RandomGate(from, channels, channels, random);
        const int numbers = bench.Add(gate);
        const Grid in = bench.Tensor(from);
        const Grid other = testing::Upsampled(bench.Tensor(coarse), levels);
        const Grid gated = Gated(in, GateOf(gate, in));
        const std::string what =
            std::to_string(channels) + " channels, " + std::to_string(levels) + " levels";
        const auto blended = [&](const Blend& step) { return bench.Tensor(bench.Add(step)); };
        ExpectClose(blended({.input = from}), in, 0, what);
        ExpectClose(blended({.input = from, .gate = numbers}), gated, 1e-5, what);
        ExpectClose(blended({.input = from, .other = coarse, .upsampling = levels}), Sum(in, other),
                    1e-6, what);
        ExpectClose(
            blended({.input = from, .gate = numbers, .other = coarse, .upsampling = levels}),
            Sum(gated, other), 1e-5, what);
      }
    }
  }
}

TEST_P(StepsOn, GateIsOfTheMeansOfConvolutions) {
  std::mt19937 random(4);
  constexpr int kSizes[][2] = {{1, 1}, {6, 7}, {40, 150}};
  for (const auto& size : kSizes) {
    for (const int batch : {2, 3}) {
      Bench bench(testing::RandomGrid(batch, size[0], size[1], 3, random), kernels());
      const Window three = {.height = 3, .width = 3, .same_upper = true};
      std::vector<int> made = {bench.AddChannels(0, 3, 40, random)};
      made.push_back(bench.Add(Depthwise{.input = made[0],
                                         .window = three,
                                         .channels = 40,
                                         .weights = Uniform(9 * 48, random),
                                         .bias = Uniform(48, random)}));
      Convolution chain = testing::Convolving(
          {{made[0]}}, {},
          testing::Packed(Uniform(64 * 40, random), 64, 1, {}, Activation::kGelu, 3));
      chain.second =
          testing::Packed(Uniform(33 * 64, random), 33, 1, {}, Activation::kNone, 3, true);
      made.push_back(bench.Add(std::move(chain)));
      made.push_back(bench.Add(testing::Convolving(
          {{0}}, three,
          testing::Packed(Uniform(24 * 27, random), 24, 3, {}, Activation::kRelu, 3))));
      for (const int of : made) {
        const Grid means_of = bench.Tensor(of);
        // Of other channels than those it is for.
        const Gate gate = testing::RandomGate(of, means_of.channels, 40, random);
        const int numbers = bench.Add(gate);
        const Grid in = bench.Tensor(made[0]);
        for (const int threads : {1, 3}) {
          bench.threads = threads;
          const int index = bench.Add(Blend{.input = made[0], .gate = numbers});
          ExpectClose(bench.Tensor(index), Gated(in, GateOf(gate, means_of)),
                      1e-5 * std::max(1.0, Largest(in)), std::to_string(of));
        }
      }
    }
  }
}

TEST_P(StepsOn, DepthToSpacePutsChannelsInTheirPlaces) {
  std::mt19937 random(5);
  for (const int block : {1, 2, 3}) {
    for (const int channels : {1, 2, 3, 4, 8, 12}) {
      for (const int width : {1, 8, 13}) {
        constexpr int kBatch = 3;
        const int inputs = block * block * channels;
        Bench bench(testing::RandomGrid(kBatch, 5, width, inputs, random), kernels());
        const int from = bench.AddPixels();
        const Grid in = bench.Tensor(from);
        Grid wanted(kBatch, 5 * block, width * block, channels);
        wanted.Fill([&](int image, int y, int x, int c) {
          return in.At(image, y / block, x / block, (y % block * block + x % block) * channels + c);
        });
        const int index = bench.Add(DepthToSpace{.input = from, .block = block});
        ExpectClose(bench.Tensor(index), wanted, 0,
                    std::to_string(block) + ", " + std::to_string(channels) + " channels");
      }
    }
  }
}

}  // namespace
}  // namespace vista::nn
