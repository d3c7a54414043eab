#include "nn/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "networks.h"
#include "nn/scratch.h"

namespace vista::nn {
namespace {

using testing::Grid;
using testing::Packed;
using testing::Uniform;

class KernelsOn : public testing::OnKernels {};
VISTA_ON_EACH_KERNELS(KernelsOn);

float Wide(Bf16 x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(x) << 16;
  float value = 0;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

struct RegionCase {
  int channels, hidden, outputs;  // hidden 0 for one matrix
  Window window;
  int height, width;
  bool planes;
};

// One region from memory full of NaN, with a few bytes behind it that must stay.
void CheckRegion(const Kernels& kernels, const RegionCase& each, int products,
                 std::mt19937& random) {
  const Window& w = each.window;
  const Grid in = testing::RandomGrid(1, each.height, each.width, each.channels, random);
  std::vector<float> data(in.values.begin(), in.values.end());
  if (each.planes) data = testing::PlanesOf(in);
  const int first_outputs = each.hidden > 0 ? each.hidden : each.outputs;
  const auto weights =
      Uniform(static_cast<std::size_t>(first_outputs) * w.height * w.width * each.channels, random);
  const auto bias = Uniform(first_outputs, random);
  const PackedWeights first =
      Packed(weights, first_outputs, w.height, bias, Activation::kNone, products);
  Grid wanted = Convolved(in, w, weights, bias);
  const auto second_weights =
      Uniform(static_cast<std::size_t>(each.outputs) * first_outputs, random);
  const auto second_bias = Uniform(each.outputs, random);
  const PackedWeights second =
      Packed(second_weights, each.outputs, 1, second_bias, Activation::kNone, products, true);
  if (each.hidden > 0) wanted = Convolved(wanted, {}, second_weights, second_bias);

  ConvolveArgs args;
  args.parts[0] = {.data = data.data(), .channels = each.channels, .planes = each.planes};
  args.part_count = 1;
  args.height = each.height;
  args.width = each.width;
  args.channels = each.channels;
  args.kernel_height = w.height;
  args.kernel_width = w.width;
  args.stride_height = w.stride_height;
  args.stride_width = w.stride_width;
  args.pad_top = w.top;
  args.pad_left = w.left;
  args.out_height = wanted.height;
  args.out_width = wanted.width;
  args.first = first.View();
  if (each.hidden > 0) args.second = second.View();
  args.products = products;
  std::vector<double> sums(each.outputs, 1);
  args.sums = sums.data();
  constexpr std::size_t kBehind = 64;
  std::vector<float> out(wanted.values.size() + kBehind, 77);
  args.out = {out.data(), nullptr};
  const Region region = {0, 0, wanted.height, 0, wanted.width};
  const std::size_t bytes = LayOut(args, region, nullptr).bytes;
  const Buffer scratch = AllocateBuffer(bytes + kBehind);
  // NaN as float32 and as bfloat16.
  auto* const words = reinterpret_cast<Bf16*>(scratch.get());
  std::fill_n(words, (bytes + kBehind) / sizeof(Bf16), Bf16{0x7fc0});
  kernels.convolve(args, region, scratch.get());

  const std::string what = std::to_string(each.channels) + " to " + std::to_string(each.hidden) +
                           " to " + std::to_string(each.outputs) + ", " + std::to_string(w.height) +
                           "x" + std::to_string(w.width) + ", products " + std::to_string(products);
  for (std::size_t i = 0; i < kBehind; ++i) {
    ASSERT_EQ(out[wanted.values.size() + i], 77) << what;
    ASSERT_EQ(words[(bytes + i) / sizeof(Bf16)], 0x7fc0) << what;
  }
  Grid got = wanted;
  got.values.assign(out.begin(), out.end() - kBehind);
  const double tolerance = testing::Tolerance(products, Largest(wanted));
  ExpectClose(got, wanted, tolerance, what);
  const double pixels = static_cast<double>(wanted.height) * wanted.width;
  for (int c = 0; c < each.outputs; ++c) {
    double sum = 1;
    for (std::size_t i = c; i < wanted.values.size(); i += each.outputs) sum += wanted.values[i];
    ASSERT_NEAR(sums[c], sum, tolerance * pixels) << what;
  }
}

TEST_P(KernelsOn, ConvolveUsesNothingItHasNotWritten) {
  std::mt19937 random(1);
  const Window three = {.height = 3, .width = 3, .top = 1, .left = 1, .bottom = 1, .right = 1};
  const Window strided = {.height = 3, .width = 3, .stride_height = 2, .stride_width = 2};
  const Window line = {.height = 1, .width = 7, .left = 3, .right = 3};
  const Window column = {.height = 3, .width = 1, .top = 1, .bottom = 1};
  for (const int products : {1, 3}) {
    for (const RegionCase& each : {RegionCase{33, 0, 20, {}, 3, 5, false},
                                   {3, 0, 24, three, 5, 9, true},
                                   {3, 0, 24, strided, 9, 21, true},
                                   {4, 0, 40, three, 4, 35, true},
                                   {12, 0, 33, strided, 7, 40, false},
                                   {24, 0, 16, line, 2, 7, false},
                                   {5, 0, 7, column, 6, 33, false},
                                   {3, 0, 5, {}, 3, 17, true}})
      CheckRegion(kernels(), each, products, random);
  }
}

TEST_P(KernelsOn, AChainOfAnyNumberOfTilesUsesNothingItHasNotWritten) {
  std::mt19937 random(2);
  for (const int products : {1, 3})
    for (const int hidden : {5, 16, 17, 32, 48, 70})
      CheckRegion(kernels(), {24, hidden, 12, {}, 3, 13, false}, products, random);
}

TEST_P(KernelsOn, SplitGivesTwoPartsAndZerosBehindThem) {
  std::mt19937 random(3);
  for (const int depth : {1, 5, 16, 31, 32, 33, 120}) {
    constexpr int kRows = 3;
    const int pitch = (depth + kDepth - 1) / kDepth * kDepth;
    const auto rows = Uniform(static_cast<std::size_t>(kRows) * depth, random);
    std::vector<Bf16> high(static_cast<std::size_t>(kRows) * pitch, 0xffff);
    std::vector<Bf16> low = high;
    kernels().split(rows.data(), kRows, depth, 3, high.data(), low.data());
    for (int row = 0; row < kRows; ++row) {
      for (int c = 0; c < pitch; ++c) {
        const std::size_t at = static_cast<std::size_t>(row) * pitch + c;
        const float x = c < depth ? rows[static_cast<std::size_t>(row) * depth + c] : 0;
        ASSERT_NEAR(Wide(high[at]), x, std::abs(x) / 256);
        ASSERT_NEAR(Wide(high[at]) + Wide(low[at]), x, std::abs(x) / 65536);
      }
    }
  }
}

TEST(PackedWeights, ArePairsOfRowsInTwoParts) {
  std::mt19937 random(4);
  constexpr int kOutputs = 20, kGroups = 2, kInputs = 37;
  const auto weights = Uniform(std::size_t{kOutputs} * kGroups * kInputs, random);
  for (const bool interleaved : {false, true}) {
    const PackedWeights packed =
        Packed(weights, kOutputs, kGroups, {1, 2}, Activation::kRelu, 3, interleaved);
    const Weights view = packed.View();
    EXPECT_EQ(view.outputs, kOutputs);
    EXPECT_EQ(view.column_tiles, 2);
    EXPECT_EQ(view.depth_blocks, 4);
    EXPECT_EQ(view.activation, Activation::kRelu);
    EXPECT_EQ(view.bias[1], 2);
    EXPECT_EQ(view.bias[31], 0);
    for (int output = 0; output < kOutputs; ++output) {
      for (int group = 0; group < kGroups; ++group) {
        for (int input = 0; input < kInputs; ++input) {
          const int place = input % 32;
          const int row = interleaved ? place % 16 : place / 2;
          const int half = interleaved ? place / 16 : place % 2;
          const Bf16* const tile = view.tiles + 1024 * (output / 16 * 4 + group * 2 + input / 32);
          const int at = (row * 16 + output % 16) * 2 + half;
          const float weight = weights[(output * kGroups + group) * kInputs + input];
          ASSERT_NEAR(Wide(tile[at]) + Wide(tile[512 + at]), weight, std::abs(weight) / 65536);
        }
      }
    }
  }
}

}  // namespace
}  // namespace vista::nn
