// Networks to test on each of the instruction sets.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nn/network.h"
#include "reference.h"

namespace vista::nn::testing {

// Tests of each of the kernels that this CPU can run, by their name.
class OnKernels : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const Kernels* usable[2] = {};
    const int count = UsableKernels(usable);
    for (int i = 0; i < count; ++i)
      if (usable[i]->name == std::string_view(GetParam())) kernels_ = usable[i];
    if (kernels_ == nullptr) GTEST_SKIP() << "this processor has no " << GetParam();
  }

  [[nodiscard]] const Kernels& kernels() const { return *kernels_; }

 private:
  const Kernels* kernels_ = nullptr;
};

#define VISTA_ON_EACH_KERNELS(suite)                                                \
  INSTANTIATE_TEST_SUITE_P(Kernels, suite, ::testing::Values("avx512_bf16", "amx"), \
                           [](const auto& set) { return std::string(set.param); })

inline PackedWeights Packed(const std::vector<float>& weights, int outputs, int groups,
                            const std::vector<float>& bias, Activation activation, int products,
                            bool interleaved = false) {
  const int inputs = static_cast<int>(weights.size()) / outputs / groups;
  return std::move(PackedWeights::Make(weights.data(), outputs, groups, inputs, bias, activation,
                                       products, interleaved))
      .value();
}

inline Grid RunOn(const Network& network, const Grid& in, int threads = 1) {
  const Extent image = {in.height, in.width};
  const Extent extent = network.OutputExtent(image).value();
  const int channels = network.output_channels();
  std::vector<float> out(Grid(in.n, extent.height, extent.width, channels).values.size());
  const Status status = network.Run(PlanesOf(in).data(), in.n, image, out.data(), threads);
  EXPECT_TRUE(status.ok()) << status.message();
  return FromPlanes(out, in.n, extent, channels);
}

inline Convolution Convolving(std::vector<Input> inputs, const Window& window, PackedWeights first,
                              int products = 3) {
  return {.inputs = std::move(inputs),
          .window = window,
          .first = std::move(first),
          .second = std::nullopt,
          .products = products};
}

// A network and an image: what goes into a step is taken as the network makes it, so that
// references are of one step each.
struct Bench {
  Bench(Grid image, const Kernels& kernels) : in(std::move(image)), network(in.channels, kernels) {}

  int Add(Step step) {
    const Result<int> index = network.Add(std::move(step));
    EXPECT_TRUE(index.ok()) << index.status().message();
    return index.ok() ? index.value() : 0;
  }

  // The image's numbers as pixels.
  int AddPixels() {
    std::vector<float> one(static_cast<std::size_t>(in.channels) * in.channels);
    for (int c = 0; c < in.channels; ++c) one[static_cast<std::size_t>(c) * in.channels + c] = 1;
    return Add(Convolving({{}}, {}, Packed(one, in.channels, 1, {}, Activation::kNone, 3)));
  }

  // Pixels of any number of channels.
  int AddChannels(int from, int inputs, int outputs, std::mt19937& random) {
    const std::vector<float> weights = Uniform(static_cast<std::size_t>(inputs) * outputs, random);
    return Add(Convolving({{from}}, {}, Packed(weights, outputs, 1, {}, Activation::kNone, 3)));
  }

  Grid Tensor(int index) {
    if (index == 0) return in;
    const Status status = network.SetOutput(index);
    EXPECT_TRUE(status.ok()) << status.message();
    return RunOn(network, in, threads);
  }

  Grid in;
  Network network;
  int threads = 1;
};

inline Gate RandomGate(int of, int inputs, int channels, std::mt19937& random) {
  constexpr int kInner = 6;
  return {.of = of,
          .inner = kInner,
          .channels = channels,
          .first = Uniform(static_cast<std::size_t>(kInner) * inputs, random),
          .first_bias = Uniform(kInner, random),
          .second = Uniform(static_cast<std::size_t>(channels) * kInner, random),
          .second_bias = Uniform(channels, random),
          .slope = 0.4F,
          .offset = 0.5F,
          .raise = 0.25F};
}

inline void ExpectClose(const Grid& got, const Grid& wanted, double tolerance,
                        const std::string& what) {
  EXPECT_LE(LargestDifference(got, wanted), tolerance) << what;
}

// What products of bfloat16 may be off, beside an output of this size.
inline double Tolerance(int products, double largest) {
  return (products > 1 ? 1e-4 : 2e-2) * std::max(1.0, largest);
}

}  // namespace vista::nn::testing
