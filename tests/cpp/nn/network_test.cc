#include "nn/network.h"

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

class NetworkOn : public testing::OnKernels {};
VISTA_ON_EACH_KERNELS(NetworkOn);

PackedWeights RandomWeights(int outputs, const Window& w, int inputs, Activation activation,
                            std::mt19937& random, bool interleaved = false) {
  return Packed(Uniform(static_cast<std::size_t>(outputs) * w.height * w.width * inputs, random),
                outputs, w.height, Uniform(outputs, random), activation, 3, interleaved);
}

// Every kind of step, over several regions.
Network WholeNetwork(const Kernels& kernels, bool gated) {
  std::mt19937 random(1);
  Bench bench({}, kernels);
  bench.network = Network(3, kernels);
  const Window stem = {.height = 3,
                       .width = 3,
                       .stride_height = 2,
                       .stride_width = 2,
                       .top = 1,
                       .left = 1,
                       .bottom = 1,
                       .right = 1};
  const Window same = {.height = 3, .width = 3, .same_upper = true};
  const Window half = {.height = 2, .width = 2, .stride_height = 2, .stride_width = 2};
  const int first =
      bench.Add(Convolving({{0}}, stem, RandomWeights(24, stem, 3, Activation::kGelu, random)));
  const int depthwise = bench.Add(Depthwise{.input = first,
                                            .window = same,
                                            .channels = 24,
                                            .weights = Uniform(9 * 32, random),
                                            .bias = Uniform(32, random),
                                            .relu = true});
  const int gate = gated ? bench.Add(testing::RandomGate(depthwise, 24, 24, random)) : -1;
  Convolution chain =
      Convolving({{depthwise, gate}}, {}, RandomWeights(64, {}, 24, Activation::kGelu, random));
  chain.second = RandomWeights(24, {}, 64, Activation::kNone, random, true);
  chain.residual = true;
  chain.plus = first;
  const int chained = bench.Add(std::move(chain));
  const int pooled = bench.Add(MaxPool{.input = chained, .window = half});
  const int joined = bench.Add(Convolving({{chained, gate}, {pooled, -1, 1}}, same,
                                          RandomWeights(20, same, 48, Activation::kRelu, random)));
  const int coarse =
      bench.Add(Convolving({{pooled}}, {}, RandomWeights(20, {}, 24, Activation::kNone, random)));
  const int blended = bench.Add(Blend{.input = joined, .other = coarse, .upsampling = 1});
  bench.Add(DepthToSpace{.input = blended, .block = 2});
  return std::move(bench.network);
}

Grid SomeImages() {
  std::mt19937 random(2);
  return testing::RandomGrid(3, 44, 284, 3, random);
}

TEST_P(NetworkOn, AnImageIsTheSameAloneAndInABatch) {
  for (const bool gated : {false, true}) {
    const Network network = WholeNetwork(kernels(), gated);
    const Grid in = SomeImages();
    const Grid all = RunOn(network, in);
    for (int image = 0; image < in.n; ++image)
      EXPECT_EQ(RunOn(network, ImageOf(in, image)).values, ImageOf(all, image).values);
  }
}

TEST_P(NetworkOn, ThreadsDoNotChangeTheNumbers) {
  const Network network = WholeNetwork(kernels(), false);
  const Grid in = SomeImages();
  const Grid all = RunOn(network, in);
  const Grid alone = ImageOf(all, 1);
  for (const int threads : {2, 3}) {
    EXPECT_EQ(RunOn(network, in, threads).values, all.values);
    EXPECT_EQ(RunOn(network, ImageOf(in, 1), threads).values, alone.values);
  }
  // Sums over an image are of each thread's own.
  const Network gated = WholeNetwork(kernels(), true);
  const Grid one = RunOn(gated, in);
  ExpectClose(RunOn(gated, in, 3), one, 1e-5 * Largest(one), "gated");
}

TEST_P(NetworkOn, GivesTheLatestStepOrTheOneAskedFor) {
  std::mt19937 random(3);
  Bench bench(testing::RandomGrid(2, 7, 11, 3, random), kernels());
  const int first = bench.AddChannels(0, 3, 5, random);
  const Grid wanted = RunOn(bench.network, bench.in);
  EXPECT_EQ(bench.network.output_channels(), 5);
  const int last = bench.Add(MaxPool{.input = first, .window = {.height = 3, .width = 3}});
  bench.Add(testing::RandomGate(first, 5, 5, random));
  EXPECT_EQ(bench.network.OutputExtent({7, 11}).value().height, 5);
  ASSERT_TRUE(bench.network.SetOutput(first).ok());
  EXPECT_EQ(bench.network.OutputExtent({7, 11}).value().height, 7);
  EXPECT_EQ(RunOn(bench.network, bench.in).values, wanted.values);
  ASSERT_TRUE(bench.network.SetOutput(last).ok());
  EXPECT_EQ(RunOn(bench.network, bench.in).height, 5);
}

// Of single products, between them pixels of 24 and 40 channels and of two sizes, as they are, next
// to others, enlarged and pooled. `wide`: something else reads each of them, as float32.
Network OfSingleProducts(const Kernels& kernels, bool wide) {
  std::mt19937 random(7);
  Bench bench({}, kernels);
  bench.network = Network(3, kernels);
  const Window same = {.height = 3, .width = 3, .same_upper = true};
  const Window half = {
      .height = 3, .width = 3, .stride_height = 2, .stride_width = 2, .same_upper = true};
  const auto convolve = [&](const std::vector<Input>& inputs, const Window& w, int channels,
                            int outputs) {
    return bench.Add(Convolving(
        inputs, w,
        Packed(Uniform(static_cast<std::size_t>(outputs) * w.height * w.width * channels, random),
               outputs, w.height, Uniform(outputs, random), Activation::kNone, 1),
        1));
  };
  const int first = convolve({{0}}, same, 3, 24);
  const int second = convolve({{first}}, {}, 24, 40);
  const int read = convolve({{second}}, same, 40, 24);
  const int depthwise = bench.Add(Depthwise{.input = read,
                                            .window = half,
                                            .channels = 24,
                                            .weights = Uniform(9 * 32, random),
                                            .bias = Uniform(32, random)});
  const int coarse = convolve({{depthwise}}, {}, 24, 24);
  if (wide) {
    for (const int tensor : {first, second, depthwise, coarse})
      bench.Add(MaxPool{.input = tensor, .window = same});
  }
  convolve({{first}, {.tensor = first, .pooled = true}, {coarse, -1, 1}}, {}, 72, 33);
  return std::move(bench.network);
}

TEST_P(NetworkOn, WhatOnlySingleProductsTakeIsRoundedOnce) {
  std::mt19937 random(8);
  for (const Extent size : {Extent{2, 2}, {6, 34}, {40, 150}}) {
    const Grid in = testing::RandomGrid(2, size.height, size.width, 3, random);
    EXPECT_EQ(RunOn(OfSingleProducts(kernels(), false), in).values,
              RunOn(OfSingleProducts(kernels(), true), in).values)
        << size.height << " x " << size.width;
  }
}

// Single products of pixels of so many channels; `copied`: they are float32, of which something
// else reads them, and become bfloat16 in a copy, where else tiles are loaded from the tensor.
Grid SingleProducts(const Kernels& kernels, const Grid& in, const Window& w, int channels,
                    bool copied) {
  std::mt19937 random(9);
  Bench bench(in, kernels);
  const auto convolve = [&](int tensor, const Window& window, int inputs, int outputs) {
    const std::size_t taps = static_cast<std::size_t>(window.height) * window.width;
    return bench.Add(
        Convolving({{tensor}}, window,
                   Packed(Uniform(outputs * taps * inputs, random), outputs, window.height,
                          Uniform(outputs, random), Activation::kRelu, 1),
                   1));
  };
  const int pixels = convolve(0, {}, in.channels, channels);
  const int made = convolve(pixels, w, channels, 20);
  if (copied) bench.Add(MaxPool{.input = pixels, .window = {}});
  EXPECT_TRUE(bench.network.SetOutput(made).ok());
  return RunOn(bench.network, in);
}

TEST_P(NetworkOn, TilesLoadedFromTensorsAreThoseOfCopies) {
  std::mt19937 random(10);
  struct Case {
    Window window;
    int channels;
  };
  const Case cases[] = {
      {{.height = 2, .width = 2, .same_upper = true}, 24},
      {{.height = 2, .width = 2, .same_upper = true}, 12},
      {{.height = 3, .width = 3, .stride_height = 2, .stride_width = 2, .same_upper = true}, 24},
      {{.height = 3, .width = 3, .top = 1, .left = 1, .bottom = 1, .right = 1}, 32},
      {{.height = 3, .width = 3}, 40},
      {{.height = 1, .width = 3}, 5},
      {{}, 32},
      {{}, 64},
      {{.stride_height = 2, .stride_width = 2}, 32}};
  for (const Case& each : cases) {
    for (const Extent size : {Extent{1, 1}, {5, 33}, {37, 96}, {19, 300}}) {
      const Window& w = each.window;
      if (!w.same_upper && (size.height < w.height || size.width < w.width)) continue;
      const Grid in = testing::RandomGrid(2, size.height, size.width, 3, random);
      EXPECT_EQ(SingleProducts(kernels(), in, w, each.channels, false).values,
                SingleProducts(kernels(), in, w, each.channels, true).values)
          << w.height << " x " << w.width << ", " << each.channels << " channels, of "
          << size.height << " x " << size.width;
    }
  }
}

class NetworkRefusals : public NetworkOn {
 protected:
  void SetUp() override {
    NetworkOn::SetUp();
    if (IsSkipped()) return;
    bench_.emplace(Grid(1, 8, 8, 3), kernels());
    pixels_ = bench_->AddChannels(0, 3, 40, random_);
    gate_ = bench_->Add(testing::RandomGate(pixels_, 40, 40, random_));
  }

  void ExpectRefused(const char* what, Step step) {
    const Result<int> added = bench_->network.Add(std::move(step));
    EXPECT_EQ(added.status().code(), StatusCode::kInvalidArgument) << what;
    EXPECT_FALSE(added.status().message().empty()) << what;
  }

  Convolution Of(std::vector<Input> inputs, int channels, int outputs = 16,
                 const Window& window = {}) {
    return Convolving(std::move(inputs), window,
                      RandomWeights(outputs, window, channels, Activation::kNone, random_));
  }

  Depthwise DepthwiseOf(int tensor, int channels) {
    return {.input = tensor,
            .window = {},
            .channels = channels,
            .weights = Uniform(64, random_),
            .bias = Uniform(64, random_)};
  }

  std::mt19937 random_{4};
  std::optional<Bench> bench_;
  int pixels_ = 0;
  int gate_ = 0;
};
VISTA_ON_EACH_KERNELS(NetworkRefusals);

TEST_P(NetworkRefusals, OtherChannels) {
  ExpectRefused("weights", Of({{pixels_}}, 24));
  ExpectRefused("weights that fill as many blocks", Of({{pixels_}}, 41));
  ExpectRefused("a wider kernel", Of({{pixels_}}, 24, 16, {.height = 3, .width = 3}));
  ExpectRefused("joined", Of({{pixels_}, {0}}, 40 + 33));
  ExpectRefused("depthwise", DepthwiseOf(pixels_, 41));
  ExpectRefused("a gate", Of({{0, gate_}}, 3));
  ExpectRefused("blocks", DepthToSpace{.input = pixels_, .block = 3});
  Convolution plus = Of({{pixels_}}, 40, 16);
  plus.plus = pixels_;
  ExpectRefused("plus", std::move(plus));
  Convolution residual = Of({{pixels_}}, 40, 16);
  residual.residual = true;
  ExpectRefused("residual", std::move(residual));
  Convolution chained = Of({{pixels_}}, 40, 24);
  chained.second = RandomWeights(8, {}, 40, Activation::kNone, random_, true);
  ExpectRefused("second", std::move(chained));
  const int narrow = bench_->AddChannels(0, 3, 24, random_);
  ExpectRefused("other", Blend{.input = pixels_, .other = narrow});
  ExpectRefused("a blend's gate", Blend{.input = narrow, .gate = gate_});
}

TEST_P(NetworkRefusals, WhatIsNotThere) {
  for (const int index : {-1, 3, 1000}) {
    ExpectRefused("convolution", Of({{index}}, 40));
    ExpectRefused("depthwise", DepthwiseOf(index, 40));
    ExpectRefused("gate", testing::RandomGate(index, 40, 40, random_));
    ExpectRefused("blend", Blend{.input = index});
    ExpectRefused("pool", MaxPool{.input = index, .window = {}});
    ExpectRefused("depth to space", DepthToSpace{.input = index});
    EXPECT_EQ(bench_->network.SetOutput(index).code(), StatusCode::kInvalidArgument);
  }
  ExpectRefused("other", Blend{.input = pixels_, .other = 1000});
  ExpectRefused("a gate of later", Of({{pixels_, 1000}}, 40));
  Convolution plus = Of({{pixels_}}, 40, 40);
  plus.plus = 1000;
  ExpectRefused("plus", std::move(plus));
}

TEST_P(NetworkRefusals, AGateForATensorAndATensorForAGate) {
  ExpectRefused("convolution", Of({{gate_}}, 40));
  ExpectRefused("depthwise", DepthwiseOf(gate_, 40));
  ExpectRefused("a gate's gate", testing::RandomGate(gate_, 40, 40, random_));
  ExpectRefused("blend", Blend{.input = gate_});
  ExpectRefused("other", Blend{.input = pixels_, .other = gate_});
  ExpectRefused("pool", MaxPool{.input = gate_, .window = {}});
  EXPECT_EQ(bench_->network.SetOutput(gate_).code(), StatusCode::kInvalidArgument);
  ExpectRefused("a tensor as gate", Of({{pixels_, pixels_}}, 40));
  ExpectRefused("a blend's gate", Blend{.input = pixels_, .gate = pixels_});
}

TEST_P(NetworkRefusals, PlanesWherePixelsAreWanted) {
  ExpectRefused("depthwise", DepthwiseOf(0, 3));
  ExpectRefused("gate", testing::RandomGate(0, 3, 3, random_));
  ExpectRefused("blend", Blend{.input = 0});
  ExpectRefused("pool", MaxPool{.input = 0, .window = {}});
  ExpectRefused("a number of tensors", Of({}, 3));
  ExpectRefused("a number of tensors", Of(std::vector<Input>(5, Input{pixels_}), 200));
}

TEST_P(NetworkRefusals, ImagesThatDoNotFit) {
  bench_->Add(Of({{pixels_}}, 40, 16, {.height = 3, .width = 5}));
  Network& network = bench_->network;
  std::vector<float> in(3 * 64 * 64), out(16 * 64 * 64);
  const auto refused = [&](Extent image) {
    EXPECT_EQ(network.OutputExtent(image).status().code(), StatusCode::kInvalidArgument);
    return network.Run(in.data(), 1, image, out.data(), 1).code() == StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused({2, 8}));
  EXPECT_TRUE(refused({8, 4}));
  EXPECT_TRUE(refused({0, 8}));
  EXPECT_TRUE(refused({8, -1}));
  EXPECT_TRUE(refused({1 << 15, 1 << 15}));
  EXPECT_TRUE(network.OutputExtent({3, 5}).ok());
  EXPECT_TRUE(network.Run(in.data(), 1, {3, 5}, out.data(), 1).ok());
}

TEST_P(NetworkRefusals, TensorsWhoseSizesDoNotMeet) {
  const Window half = {.height = 2, .width = 2, .stride_height = 2, .stride_width = 2};
  const int pooled = bench_->Add(MaxPool{.input = pixels_, .window = half});
  std::vector<float> in(3 * 64), out(80 * 64);
  Convolution plus = Of({{pixels_}}, 40, 40);
  plus.plus = pooled;
  Step steps[] = {Blend{.input = pixels_, .other = pooled, .upsampling = 1},
                  Of({{pixels_}, {pooled, -1, 1}}, 80), std::move(plus)};
  for (Step& step : steps) {
    Network network(3, kernels());
    ASSERT_TRUE(network.Add(Of({{0}}, 3, 40)).ok());
    ASSERT_TRUE(network.Add(testing::RandomGate(1, 40, 40, random_)).ok());
    ASSERT_TRUE(network.Add(MaxPool{.input = 1, .window = half}).ok());
    const bool halves =
        !std::holds_alternative<Convolution>(step) || std::get<Convolution>(step).plus < 0;
    ASSERT_TRUE(network.Add(std::move(step)).ok());
    EXPECT_EQ(network.OutputExtent({8, 8}).ok(), halves);
    EXPECT_EQ(network.OutputExtent({7, 8}).status().code(), StatusCode::kInvalidArgument);
    EXPECT_EQ(network.Run(in.data(), 1, {7, 8}, out.data(), 1).code(),
              StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace vista::nn
