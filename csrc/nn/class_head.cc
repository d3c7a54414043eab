#include "nn/class_head.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "base/buffer.h"
#include "nn/team.h"

namespace vista::nn {
namespace {

constexpr int kPatchTiles = 64;  // of columns: their weights stay in the L2 cache

// Rows as high and low, in whole blocks.
struct SplitRows {
  Buffer memory;
  Bf16* high = nullptr;
  Bf16* low = nullptr;
};

SplitRows Allocate(int count, int pitch, int products) {
  const std::size_t blocks = (static_cast<std::size_t>(count) + 31) / 32;
  const std::size_t bytes = blocks * 32 * pitch * sizeof(Bf16);
  SplitRows rows;
  rows.memory = AllocateBuffer(bytes * (products > 1 ? 2 : 1));
  if (rows.memory == nullptr) return rows;
  rows.high = reinterpret_cast<Bf16*>(rows.memory.get());
  rows.low = products > 1 ? reinterpret_cast<Bf16*>(rows.memory.get() + bytes) : rows.high;
  return rows;
}

Status NoMemoryForRows() {
  return {StatusCode::kResourceExhausted, "no memory to classify rows; give fewer at once"};
}

// What each patch of some rows finds: of patch (block of rows, chunk of tiles), its rows' values.
class Patches {
 public:
  Patches(const Kernels& kernels, const ClassifyArgs& args, int rows)
      : kernels_(kernels),
        args_(args),
        rows_(rows),
        blocks_((rows + kClassifyRows - 1) / kClassifyRows),
        chunks_((args.weights.column_tiles + kPatchTiles - 1) / kPatchTiles),
        values_(static_cast<std::size_t>(chunks_) * blocks_ * kClassifyRows),
        indices_(values_.size()) {}

  void Run(Team& team) {
    team.ForEach(blocks_ * chunks_, [&](int task, int /*member*/) {
      // Patches of the same weights one after the other.
      const int block = task % blocks_;
      const int chunk = task / blocks_;
      const int row = block * kClassifyRows;
      const int tile = chunk * kPatchTiles;
      const Patch patch = {row, std::min(kClassifyRows, rows_ - row), tile,
                           std::min(kPatchTiles, args_.weights.column_tiles - tile)};
      kernels_.classify(args_, patch, &values_[At(chunk, row)], &indices_[At(chunk, row)]);
    });
  }

  // Chunks are in the order of their classes.
  [[nodiscard]] int chunks() const { return chunks_; }
  [[nodiscard]] float Value(int chunk, int row) const { return values_[At(chunk, row)]; }
  [[nodiscard]] int Index(int chunk, int row) const { return indices_[At(chunk, row)]; }

 private:
  [[nodiscard]] std::size_t At(int chunk, int row) const {
    return static_cast<std::size_t>(chunk) * blocks_ * kClassifyRows + row;
  }

  const Kernels& kernels_;
  const ClassifyArgs& args_;
  int rows_;
  int blocks_;
  int chunks_;
  std::vector<float> values_;
  std::vector<int> indices_;
};

}  // namespace

ClassHead::ClassHead(PackedWeights weights, std::vector<float> bias, int depth, int products,
                     const Kernels& kernels)
    : weights_(std::move(weights)),
      bias_(std::move(bias)),
      depth_(depth),
      products_(products),
      kernels_(&kernels) {}

Result<ClassHead> ClassHead::Make(const float* weights, int classes, int depth,
                                  const std::vector<float>& bias, int products,
                                  const Kernels& kernels) {
  Result<PackedWeights> packed =
      PackedWeights::Make(weights, classes, 1, depth, bias, Activation::kNone, products);
  if (!packed.ok()) return packed.status();
  std::vector<float> padded = bias;
  padded.resize(static_cast<std::size_t>(packed.value().View().column_tiles) * kTileColumns,
                -std::numeric_limits<float>::infinity());
  return ClassHead(std::move(packed).value(), std::move(padded), depth, products, kernels);
}

Status ClassHead::Run(const float* rows, int count, std::int64_t ignored, int threads,
                      std::int64_t* classes, float* probabilities) const {
  ClassifyArgs args;
  args.weights = weights_.View();
  args.weights.bias = bias_.data();
  args.products = products_;
  const int pitch = args.weights.depth_blocks * kDepth;
  const SplitRows all = Allocate(count, pitch, products_);
  if (all.memory == nullptr) return NoMemoryForRows();
  args.high = all.high;
  args.low = all.low;
  kernels_->split(rows, count, depth_, products_, all.high, all.low);

  return Team::With(threads, [&](Team& team) {
    return Classify(all.high, all.low, args, count, ignored, team, classes, probabilities);
  });
}

Status ClassHead::Classify(const Bf16* high, const Bf16* low, ClassifyArgs args, int count,
                           std::int64_t ignored, Team& team, std::int64_t* classes,
                           float* probabilities) const {
  const int pitch = args.weights.depth_blocks * kDepth;
  Patches found(*kernels_, args, count);
  found.Run(team);
  std::vector<float> largest;
  std::vector<int> wanted;
  for (int row = 0; row < count; ++row) {
    int best = 0;
    for (int chunk = 1; chunk < found.chunks(); ++chunk)
      if (found.Value(chunk, row) > found.Value(best, row)) best = chunk;
    classes[row] = found.Index(best, row);
    probabilities[row] = 0;
    if (classes[row] == ignored) continue;
    wanted.push_back(row);
    largest.push_back(found.Value(best, row));
  }
  if (wanted.empty()) return {};

  const int number = static_cast<int>(wanted.size());
  const SplitRows some = Allocate(number, pitch, products_);
  if (some.memory == nullptr) return NoMemoryForRows();
  for (int row = 0; row < number; ++row) {
    const std::ptrdiff_t from = static_cast<std::ptrdiff_t>(wanted[row]) * pitch;
    const std::ptrdiff_t to = static_cast<std::ptrdiff_t>(row) * pitch;
    std::copy_n(high + from, pitch, some.high + to);
    if (products_ > 1) std::copy_n(low + from, pitch, some.low + to);
  }
  // Rows of the last block that there are none of.
  largest.resize((largest.size() + 31) / 32 * 32, 0);
  args.high = some.high;
  args.low = some.low;
  args.largest = largest.data();
  Patches summed(*kernels_, args, number);
  summed.Run(team);
  for (int row = 0; row < number; ++row) {
    float sum = 0;
    for (int chunk = 0; chunk < summed.chunks(); ++chunk) sum += summed.Value(chunk, row);
    probabilities[wanted[row]] = 1 / sum;
  }
  return {};
}

}  // namespace vista::nn
