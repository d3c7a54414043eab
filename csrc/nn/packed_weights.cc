#include "nn/packed_weights.h"

#include <cstring>
#include <string>

namespace vista::nn {
namespace {

// To the nearest, ties to even. Weights are finite.
Bf16 Rounded(float x) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &x, sizeof bits);
  return static_cast<Bf16>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float Widened(Bf16 x) {
  const std::uint32_t bits = static_cast<std::uint32_t>(x) << 16;
  float wide = 0;
  std::memcpy(&wide, &bits, sizeof wide);
  return wide;
}

}  // namespace

Result<PackedWeights> PackedWeights::Make(const float* weights, int outputs, int groups, int inputs,
                                          const std::vector<float>& bias, Activation activation,
                                          int products, bool interleaved) {
  PackedWeights packed;
  packed.outputs_ = outputs;
  packed.products_ = products;
  packed.interleaved_ = interleaved;
  packed.groups_ = groups;
  packed.inputs_ = inputs;
  packed.activation_ = activation;
  const int group_blocks = (inputs + kDepth - 1) / kDepth;
  packed.depth_blocks_ = groups * group_blocks;
  const int column_tiles = (outputs + kTileColumns - 1) / kTileColumns;
  const int parts = products > 1 ? 2 : 1;
  constexpr std::size_t kTile = kTileColumns * kDepth;
  const std::size_t bytes =
      static_cast<std::size_t>(column_tiles) * packed.depth_blocks_ * parts * kTile * sizeof(Bf16);
  packed.tiles_ = AllocateBuffer(bytes);
  if (packed.tiles_ == nullptr) {
    return Status{StatusCode::kResourceExhausted, "no memory for " + std::to_string(bytes) +
                                                      " bytes of a network's weights; free some"};
  }
  std::memset(packed.tiles_.get(), 0, bytes);
  auto* const tiles = reinterpret_cast<Bf16*>(packed.tiles_.get());
  for (int output = 0; output < outputs; ++output) {
    for (int group = 0; group < groups; ++group) {
      for (int input = 0; input < inputs; ++input) {
        const float weight = *weights++;
        const int block = group * group_blocks + input / kDepth;
        const int place = input % kDepth;
        const int row = interleaved ? place % kTileRows : place / 2;
        const int second = interleaved ? place / kTileRows : place % 2;
        Bf16* const tile =
            tiles +
            (static_cast<std::size_t>(output / kTileColumns) * packed.depth_blocks_ + block) *
                parts * kTile;
        const int at = (row * kTileColumns + output % kTileColumns) * 2 + second;
        tile[at] = Rounded(weight);
        if (parts > 1) tile[kTile + at] = Rounded(weight - Widened(tile[at]));
      }
    }
  }
  packed.bias_ = bias;
  packed.bias_.resize(static_cast<std::size_t>(column_tiles) * kTileColumns, 0);
  return packed;
}

Weights PackedWeights::View() const {
  return {reinterpret_cast<const Bf16*>(tiles_.get()),
          bias_.data(),
          static_cast<int>(bias_.size()) / kTileColumns,
          depth_blocks_,
          outputs_,
          activation_};
}

}  // namespace vista::nn
