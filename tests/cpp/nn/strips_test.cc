#include "nn/strips.h"

#include <gtest/gtest.h>

#include <string>

#include "networks.h"

namespace vista::nn {
namespace {

using testing::Bench;
using testing::Convolving;
using testing::Grid;
using testing::Packed;
using testing::Uniform;

class StripsOn : public testing::OnKernels {};
VISTA_ON_EACH_KERNELS(StripsOn);

constexpr int kStripChannels = 40;

struct StripsCase {
  Window first;  // of the convolution
  Window second;
  bool chained = false;
};

Window Same(int size, int stride = 1) {
  return {.height = size,
          .width = size,
          .stride_height = stride,
          .stride_width = stride,
          .same_upper = true};
}

// A convolution and a depthwise one over large images, and what reads the means of that.
// `read_again`: the tensor between them is read by something else too, so that it is made whole.
Network Of(const Kernels& kernels, const StripsCase& sizes, int products, bool read_again) {
  std::mt19937 random(5);
  Bench bench({}, kernels);
  bench.network = Network(3, kernels);
  const int pixels = bench.AddChannels(0, 3, kStripChannels, random);
  const auto weights = [&](const Window& w, int outputs, int inputs, bool interleaved = false) {
    return Packed(Uniform(static_cast<std::size_t>(outputs) * w.height * w.width * inputs, random),
                  outputs, w.height, Uniform(outputs, random), Activation::kGelu, products,
                  interleaved);
  };
  const Window& w = sizes.first;
  const int inner = sizes.chained ? 64 : kStripChannels;
  Convolution first = Convolving({{pixels}}, w, weights(w, inner, kStripChannels), products);
  if (sizes.chained) first.second = weights({}, kStripChannels, inner, true);
  first.residual = sizes.chained;
  const int between = bench.Add(std::move(first));
  const int taps = sizes.second.height * sizes.second.width;
  const int last = bench.Add(Depthwise{.input = between,
                                       .window = sizes.second,
                                       .channels = kStripChannels,
                                       .weights = Uniform(taps * 48, random),
                                       .bias = Uniform(48, random),
                                       .relu = true});
  const int gate = bench.Add(testing::RandomGate(last, kStripChannels, kStripChannels, random));
  const int gated = bench.Add(Blend{.input = last, .gate = gate});
  if (read_again) bench.Add(MaxPool{.input = between, .window = Same(3)});
  EXPECT_TRUE(bench.network.SetOutput(gated).ok());
  return std::move(bench.network);
}

TEST_P(StripsOn, GiveWhatTwoStepsGive) {
  std::mt19937 random(6);
  // More than 1 MiB between the two, a width that tiles don't divide, an odd height.
  const Grid in = testing::RandomGrid(2, 81, 139, 3, random);
  const Window padded = {.height = 3, .width = 3, .top = 2, .left = 1, .bottom = 2, .right = 1};
  const StripsCase cases[] = {{{}, Same(3)},
                              {{}, Same(7)},
                              {{}, Same(3, 2)},
                              {{}, Same(2, 3)},
                              {{}, {.height = 1, .width = 1}},
                              {{}, padded},
                              {Same(3), Same(5)},
                              {{}, Same(3), true},
                              {{}, Same(7), true}};
  for (const StripsCase& sizes : cases) {
    for (const int products : {1, 3}) {
      const Grid wanted = RunOn(Of(kernels(), sizes, products, true), in);
      const Network network = Of(kernels(), sizes, products, false);
      for (const int threads : {1, 2, 3}) {
        ExpectClose(RunOn(network, in, threads), wanted, 1e-5 * testing::Largest(wanted),
                    "a kernel of " + std::to_string(sizes.second.height) + ", stride " +
                        std::to_string(sizes.second.stride_height) + ", products " +
                        std::to_string(products) + ", threads " + std::to_string(threads));
      }
    }
  }
}

// Larger kernels than a ring of rows is for.
TEST_P(StripsOn, LeaveTallKernelsAlone) {
  std::mt19937 random(7);
  const Grid in = testing::RandomGrid(1, 81, 139, 3, random);
  const StripsCase tall = {{}, Same(Strips::kMostKernelRows + 2)};
  const Grid wanted = RunOn(Of(kernels(), tall, 3, true), in);
  EXPECT_EQ(RunOn(Of(kernels(), tall, 3, false), in).values, wanted.values);
}

}  // namespace
}  // namespace vista::nn
