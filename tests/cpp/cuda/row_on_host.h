// Runs the blocks of the CUDA kernel for one row on the CPU: phase by phase, each for all threads
// or warps before the next, as barriers would have it. Before a part is staged, what may hold
// nothing of it yet is filled with NaN.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "cuda/crop_patch_write.h"
#include "cuda/crop_resize_samples.h"
#include "cuda/crop_resize_tile.h"
#include "cuda/crop_resize_weights.h"
#include "cuda/crop_resize_write.h"

namespace vista::cuda {

template <int kPatch>
class RowOnHost {
 public:
  // The output's numbers must be NaN before. `pixels`, aligned as a Chunk is, has no byte beyond
  // those that the kernel may read: the chunks that hold one of the image.
  RowOnHost(const PlannedRow& row, const Arithmetic& arithmetic, const Target& target,
            const std::uint8_t* pixels, std::vector<float>* out)
      : row_(row), arithmetic_(arithmetic), target_(target), pixels_(pixels), out_(out) {}

  void Run() {
    if constexpr (kPatch != 0) {
      if (row_.near) {
        for (int block = 0; block < row_.blocks; ++block) MakePatches(block);
        return;
      }
    }
    const std::int64_t bytes = SharedBytes(row_.room, kStagedBytes<kPatch>);
    ASSERT_GT(bytes, 0);
    ASSERT_LE(bytes, kMostBytes);
    memory_.resize(static_cast<std::size_t>(bytes) / sizeof(Chunk));
    shared_ =
        SharedIn(reinterpret_cast<unsigned char*>(memory_.data()), row_.room, kStagedBytes<kPatch>);
    for (int block = 0; block < row_.blocks; ++block) {
      Spoil(memory_.data(), memory_.data() + memory_.size());
      block_first_ = block % row_.blocks_first;
      begin_ = block / row_.blocks_first * row_.tiles * kTileLast<kPatch>;
      end_ = Least(begin_ + row_.tiles * kTileLast<kPatch>, row_.last.size);
      for (int n = 0; begin_ + n * kTileLast<kPatch> < end_; ++n) MakeTile(n);
    }
  }

 private:
  static void Spoil(void* begin, void* end) {
    auto* const first = static_cast<unsigned char*>(begin);
    std::memset(first, 0xff, static_cast<std::size_t>(static_cast<unsigned char*>(end) - first));
  }

  void SpoilRaw() { Spoil(shared_.raw, memory_.data() + memory_.size()); }

  template <typename Phase>
  static void EachThread(const Phase& phase) {
    for (int thread = 0; thread < kThreads; ++thread) phase(thread);
  }

  // The last first: none may count on another.
  template <int kCount = kWarps, typename Phase>
  static void EachWarp(const Phase& phase) {
    for (int warp = kCount - 1; warp >= 0; --warp) phase(warp, static_cast<std::size_t>(warp));
  }

  Lanes<int> Edges(int warp) const {
    return EdgesOf<kPatch>(row_, arithmetic_, block_first_, begin_, warp);
  }

  void Fetch(const Part& part) {
    EachThread([&](int thread) {
      FetchLines(row_, part, pixels_, thread / kWarp, thread % kWarp, shared_);
    });
  }

  void Stage(const Part& part) {
    EachThread([&](int thread) {
      StageSamples(row_, part, pixels_, thread / kWarp, thread % kWarp, shared_);
    });
  }

  // A near row's.
  void MakePatches(int number) {
    const auto memory = std::make_unique<PatchMemory>();
    Spoil(memory.get(), memory.get() + 1);
    memory->block = PatchBlockOf<kPatch>(row_, number);
    const PatchBlock& block = memory->block;
    EachWarp<kPatchWarps>([&](int warp, std::size_t w) {
      FindEdges<kPatch>(row_, block, arithmetic_, memory->edges[w]);
      StagePatchWeights<kPatch>(row_, arithmetic_, warp, memory.get());
    });
    EachWarp<kPatchWarps>([&](int warp, std::size_t w) {
      for (int n = warp; n < block.count; n += kPatchWarps) {
        std::uint8_t* const lines = memory->lines[w];
        Spoil(lines, lines + sizeof(memory->lines[w]));
        const NearPatch patch = NearPatchOf(n, block, memory->edges[w]);
        FetchPatch(patch, row_, pixels_, lines);
        Levels levels;
        ResizeFirst(patch, row_, pixels_, lines, *memory, &levels);
        PatchSums sums;
        ResizeLast(patch, levels, *memory, &sums);
        WritePatch<kPatch>(patch, row_, target_, sums, out_->data(), PutFours());
      }
    });
  }

  auto PutFours() {
    return [this](float* to, const Four& values) {
      ASSERT_EQ((to - out_->data()) % kFour, 0);
      for (int n = 0; n < kFour; ++n) Put(to + n, values.of[n]);
    };
  }

  void MakeTile(int number) {
    number_ = number;
    tile_ = TileOf<kPatch>(row_, block_first_, begin_ + number * kTileLast<kPatch>);
    EachWarp([&](int warp, std::size_t w) {
      pieces_[w] = PieceOf<kPatch>(tile_, Edges(warp), number, warp);
      FillOutputs(arithmetic_, &outputs_[w]);
    });
    window_ = pieces_[0].lines.tile;
    ASSERT_LT(window_.begin, window_.end);
    for (int line = window_.begin; line < window_.end;) {
      const Part part = {LinesFrom(line, window_, row_.room), pieces_[0].samples.tile};
      if (row_.room.whole)
        AddWhole(part);
      else
        AddBySamples(part);
      line = part.lines.end;
    }
    EachWarp([&](int warp, std::size_t w) { Write(warp, w); });
  }

  void StageLast(const Part& part) {
    const bool first = part.lines.begin == window_.begin;
    EachThread([&](int thread) {
      StageLastWeights<kPatch>(tile_, row_, part, arithmetic_, first, thread, shared_);
    });
  }

  void StageFirst(const Part& part, bool first) {
    EachThread([&](int thread) {
      StageFirstWeights<kPatch>(tile_, row_, part, arithmetic_, first, thread, shared_);
    });
  }

  void AddWhole(const Part& part) {
    Spoil(shared_.last.high, shared_.raw);
    StageLast(part);
    if (number_ == 0 && part.lines.begin == window_.begin) {
      StageFirst(part, true);
      Fetch(part);
    }
    Stage(part);
    SpoilRaw();
    if (part.lines.end < window_.end) {
      Fetch({LinesFrom(part.lines.end, window_, row_.room), part.samples});
    } else if (begin_ + (number_ + 1) * kTileLast<kPatch> < end_) {
      const Reach next = SightOf(Edges(0), number_ + 1).tile;
      Fetch({LinesFrom(next.begin, next, row_.room), part.samples});
    }
    EachWarp([&](int, std::size_t w) {
      ResizePart(pieces_[w], part, arithmetic_, shared_, &outputs_[w]);
    });
  }

  void AddBySamples(Part part) {
    const Reach samples = part.samples;
    std::array<Blocks, kWarps> lines;
    for (Blocks& each : lines) Fill(0, &each);
    Spoil(shared_.first.high, shared_.raw);
    StageLast(part);
    for (int sample = samples.begin; sample < samples.end; sample = part.samples.end) {
      part.samples = {sample, Least(sample + row_.room.samples, samples.end)};
      Spoil(shared_.first.high, shared_.last.high);
      Spoil(shared_.samples, shared_.raw);
      SpoilRaw();
      StageFirst(part, sample == samples.begin);
      Fetch(part);
      Stage(part);
      EachWarp([&](int, std::size_t w) { ResizeSome(pieces_[w], part, shared_, &lines[w]); });
    }
    EachWarp([&](int, std::size_t w) {
      ResizeLines(pieces_[w], part, arithmetic_, lines[w], shared_, &outputs_[w]);
    });
  }

  void Put(float* to, float value) {
    const std::ptrdiff_t index = to - out_->data();
    ASSERT_GE(index, 0);
    ASSERT_LT(index, static_cast<std::ptrdiff_t>(out_->size()));
    EXPECT_TRUE(std::isnan(*to)) << "written twice: " << index;
    *to = value;
  }

  void Write(int warp, std::size_t w) {
    if constexpr (kPatch == 0) {
      WritePiece(tile_, pieces_[w], row_, arithmetic_, target_, outputs_[w], out_->data(),
                 [this](float* to, float value) { Put(to, value); });
    } else {
      StagePatch<kPatch>(pieces_[w], row_, arithmetic_, target_, warp, outputs_[w], shared_);
      CopyPatch<kPatch>(tile_, pieces_[w], row_, target_, warp, shared_, out_->data(), PutFours());
    }
  }

  const PlannedRow row_;
  const Arithmetic arithmetic_;
  const Target target_;
  const std::uint8_t* const pixels_;
  std::vector<float>* const out_;
  std::vector<Chunk> memory_;
  Shared shared_;
  int block_first_ = 0, begin_ = 0, end_ = 0;  // of the block
  int number_ = 0;                             // of the tile in its block
  Tile tile_ = {};
  Reach window_ = {};
  std::array<Piece, kWarps> pieces_;
  std::array<Blocks, kWarps> outputs_;
};

}  // namespace vista::cuda
