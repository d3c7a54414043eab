// What one block of threads does for one tile of the output, as phases with a barrier after each.
//
// A phase is a function of the thread's number and touches only the block's shared memory, the
// thread's own sums and global memory, so that the host can run a block by running each phase for
// all its threads in turn. That is how tests check this arithmetic without a GPU.
#pragma once

#include <cstdint>

#include "cuda/crop_resize_block.h"
#include "cuda/crop_resize_write.h"

namespace vista::cuda {

// The part of the source that the tile can see.
struct Window {
  Reach lines;
  Reach samples;  // of each line
  int chunk;      // lines that are worked on at once
  bool staged;    // whether so few samples of a line fit into shared memory
};

VISTA_DEVICE Window WindowOf(const Tile& tile, const PlannedRow& row,
                             const Arithmetic& arithmetic) {
  const auto seen = [&arithmetic](int begin, int count, const Axis& axis) {
    return Reach{BeginOf(begin, axis, arithmetic), EndOf(begin + count - 1, axis, arithmetic)};
  };
  Window window = {seen(tile.last_begin, tile.last_count, row.last),
                   seen(tile.first_begin, tile.first_count, row.first), kLines, true};
  const int width = window.samples.end - window.samples.begin;
  window.staged = width <= kSamples && row.first.taps <= kMostTaps;
  if (window.staged && width * kLines > kSamples) {
    const int most = kSamples / width;
    // Shared out evenly among the warps.
    window.chunk = most < kWarps ? most : most / kWarps * kWarps;
  }
  return window;
}

// Phase 1: reaches, the weights along the first axis, and where patches go.
template <int kPatch>
VISTA_DEVICE void Prepare(const Tile& tile, const PlannedRow& row, const Arithmetic& arithmetic,
                          const Target& target, int thread, Shared* shared) {
  const int j = thread % kTileFirst;
  if (j < tile.first_count) {
    const int output = tile.first_begin + j;
    const Reach reach = ReachOf(output, row.first, arithmetic);
    if (thread < kTileFirst) shared->first_reach[j] = reach;
    const int taps = row.first.taps <= kMostTaps ? Most(row.first.taps, kFewTaps) : 0;
    for (int tap = thread / kTileFirst; tap < taps; tap += kGroups) {
      shared->first_weight[tap][j] =
          reach.begin + tap < reach.end ? WeightOf(reach.begin + tap, output, row.first, arithmetic)
                                        : 0;
    }
  }
  // The rest by the last warps, from the last thread.
  const int i = kThreads - 1 - thread;
  if (i < tile.last_count) {
    const int output = tile.last_begin + i;
    const Reach reach = ReachOf(output, row.last, arithmetic);
    float sum = 0;
    for (int y = reach.begin; y < reach.end; ++y) sum += WeightOf(y, output, row.last, arithmetic);
    shared->last_reach[i] = reach;
    shared->last_scale[i] = 1 / sum;
  }
  if constexpr (kPatch != 0) {
    constexpr int kAlongFirst = TileFirst<kPatch>() / kPatch;
    constexpr int kPatches = TileLast<kPatch>() / kPatch * kAlongFirst;
    static_assert(kPatches <= kMostPatches && kTileLast <= kWarp);
    const int patch = i - kWarp;
    if (patch < 0 || patch >= kPatches) return;
    const int last = tile.last_begin + patch / kAlongFirst * kPatch;
    const int first = tile.first_begin + patch % kAlongFirst * kPatch;
    const bool exists = last < row.last.size && first < row.first.size;
    shared->patch_at[patch] =
        exists ? PatchOf(target, row, row.turned ? first : last, row.turned ? last : first) * 3 *
                     target.temporal * kPatch * kPatch
               : -1;
  }
}

// Also phase 1, and again for each further chunk of lines from `begin`: their samples, neighbouring
// ones by neighbouring threads whichever axis comes first, and zeros for the weights along the
// last.
VISTA_DEVICE void StageSamples(const PlannedRow& row, const Window& window, int begin,
                               const std::uint8_t* pixels, int thread, Shared* shared) {
  const int count = Least(window.lines.end - begin, window.chunk);
  for (int n = thread; n < count * kTileLast / kFour; n += kThreads)
    reinterpret_cast<Four*>(shared->last_weight)[n] = {};
  if (!window.staged) return;
  const int width = window.samples.end - window.samples.begin;
  // What is read past the last output's reach has to be a number.
  if (thread < kFewTaps) shared->sample[count * width + thread] = {};
  const std::uint8_t* const corner =
      pixels + row.first_byte + begin * row.last.step + window.samples.begin * row.first.step;
  // Of the two axes of the source, x is 3 bytes a step.
  const int along_x = row.turned ? count : width;
  const int along_y = row.turned ? width : count;
  const int step_y = row.turned ? row.first.step : row.last.step;
  const int place_x = row.turned ? width : 1;
  const int place_y = row.turned ? 1 : width;
  // Several samples at once, so that their ways from memory overlap.
  constexpr int kAtOnce = 4;
  for (int x = thread % kWarp; x < along_x; x += kWarp) {
    for (int y = thread / kWarp; y < along_y; y += kAtOnce * kWarps) {
      Sample sample[kAtOnce];
      VISTA_UNROLL
      for (int n = 0; n < kAtOnce; ++n)
        sample[n] = SampleOf(corner + Least(y + n * kWarps, along_y - 1) * step_y + x * 3);
      VISTA_UNROLL
      for (int n = 0; n < kAtOnce; ++n) {
        if (y + n * kWarps < along_y)
          shared->sample[(y + n * kWarps) * place_y + x * place_x] = sample[n];
      }
    }
  }
}

VISTA_DEVICE void KeepLine(const Levels& sum, const Arithmetic& arithmetic, int line, int j,
                           Shared* shared) {
  for (int c = 0; c < 3; ++c)
    shared->line[line][c][j] = arithmetic.rounded ? WholeLevel(sum.of[c]) : sum.of[c];
}

// The first pass with at most kTaps weights, which stay in registers. What is read past an output's
// reach is some sample, and its weight is zero.
template <int kTaps>
VISTA_DEVICE void ResizeByFewTaps(const Arithmetic& arithmetic, const Window& window, int count,
                                  int thread, Shared* shared) {
  static_assert(kTaps <= kFewTaps);
  const int j = thread % kTileFirst;
  const int width = window.samples.end - window.samples.begin;
  float weight[kTaps];
  float sum_of_weights = 0;
  VISTA_UNROLL
  for (int tap = 0; tap < kTaps; ++tap) {
    weight[tap] = shared->first_weight[tap][j];
    sum_of_weights += weight[tap];
  }
  VISTA_UNROLL
  for (int tap = 0; tap < kTaps; ++tap) weight[tap] *= 1 / sum_of_weights;
  const Sample* const from = &shared->sample[shared->first_reach[j].begin - window.samples.begin];
  for (int line = thread / kTileFirst; line < count; line += kGroups) {
    Levels sum = NoLevels(arithmetic);
    VISTA_UNROLL
    for (int tap = 0; tap < kTaps; ++tap) Add(weight[tap], from[line * width + tap], &sum);
    KeepLine(sum, arithmetic, line, j, shared);
  }
}

// Two lines at once, so that each weight is read for both.
VISTA_DEVICE void ResizeByManyTaps(const Arithmetic& arithmetic, const Window& window, int count,
                                   int thread, Shared* shared) {
  const int j = thread % kTileFirst;
  const int width = window.samples.end - window.samples.begin;
  const Reach reach = shared->first_reach[j];
  const int taps = reach.end - reach.begin;
  const Sample* const from = &shared->sample[reach.begin - window.samples.begin];
  for (int line = thread / kTileFirst; line < count; line += 2 * kGroups) {
    const int other = Least(line + kGroups, count - 1);
    Levels one = {};
    Levels two = {};
    float sum_of_weights = 0;
    for (int tap = 0; tap < taps; ++tap) {
      const float weight = shared->first_weight[tap][j];
      sum_of_weights += weight;
      Add(weight, from[line * width + tap], &one);
      Add(weight, from[other * width + tap], &two);
    }
    const float scale = 1 / sum_of_weights;
    KeepLine(Scaled(one, scale, arithmetic), arithmetic, line, j, shared);
    if (line + kGroups < count)
      KeepLine(Scaled(two, scale, arithmetic), arithmetic, other, j, shared);
  }
}

// The first pass of a shrink so large that nothing of it fits into shared memory.
VISTA_DEVICE void ResizeUnstaged(const Tile& tile, const PlannedRow& row,
                                 const Arithmetic& arithmetic, int begin, int count,
                                 const std::uint8_t* pixels, int thread, Shared* shared) {
  const int j = thread % kTileFirst;
  const int output = tile.first_begin + j;
  const Reach reach = shared->first_reach[j];
  for (int line = thread / kTileFirst; line < count; line += kGroups) {
    const std::uint8_t* const from = pixels + row.first_byte + (begin + line) * row.last.step;
    Levels sum = {};
    float sum_of_weights = 0;
    for (int x = reach.begin; x < reach.end; ++x) {
      const float weight = WeightOf(x, output, row.first, arithmetic);
      sum_of_weights += weight;
      Add(weight, SampleOf(from + x * row.first.step), &sum);
    }
    KeepLine(Scaled(sum, 1 / sum_of_weights, arithmetic), arithmetic, line, j, shared);
  }
}

// Phase 2, for the same chunk: the first pass, and the weights of its lines in the second.
VISTA_DEVICE void ResizeLines(const Tile& tile, const PlannedRow& row, const Arithmetic& arithmetic,
                              const Window& window, int begin, const std::uint8_t* pixels,
                              int thread, Shared* shared) {
  const int count = Least(window.lines.end - begin, window.chunk);
  if (thread % kTileFirst < tile.first_count) {
    if (!window.staged)
      ResizeUnstaged(tile, row, arithmetic, begin, count, pixels, thread, shared);
    else if (row.first.taps <= 4)
      ResizeByFewTaps<4>(arithmetic, window, count, thread, shared);
    else if (row.first.taps <= 5)
      ResizeByFewTaps<5>(arithmetic, window, count, thread, shared);
    else if (row.first.taps <= 6)
      ResizeByFewTaps<6>(arithmetic, window, count, thread, shared);
    else if (row.first.taps <= kFewTaps)
      ResizeByFewTaps<kFewTaps>(arithmetic, window, count, thread, shared);
    else
      ResizeByManyTaps(arithmetic, window, count, thread, shared);
  }
  const int i = thread % kTileLast;
  if (i >= tile.last_count) return;
  const Reach reach = shared->last_reach[i];
  const int end = Least(reach.end, begin + count);
  for (int y = Most(reach.begin, begin) + thread / kTileLast; y < end; y += kThreads / kTileLast) {
    shared->last_weight[y - begin][i] =
        WeightOf(y, tile.last_begin + i, row.last, arithmetic) * shared->last_scale[i];
  }
}

// Phase 3, for the same chunk: its share of the second pass.
VISTA_DEVICE void AddLines(const Tile& tile, const Window& window, int begin, int thread,
                           const Shared& shared, Sums* sums) {
  const int j = thread % kTileFirst;
  if (j >= tile.first_count) return;
  VISTA_UNROLL
  for (int round = 0; round < kRounds; ++round) {
    const int i = (round * kGroups + thread / kTileFirst) * kFour;
    if (i >= tile.last_count) return;
    const int last = Least(i + kFour, tile.last_count) - 1;
    const int from = Most(shared.last_reach[i].begin - begin, 0);
    const int to = Least(shared.last_reach[last].end - begin, window.chunk);
    for (int line = from; line < to; ++line) {
      const Four weights = *reinterpret_cast<const Four*>(&shared.last_weight[line][i]);
      VISTA_UNROLL
      for (int c = 0; c < 3; ++c) {
        const float level = shared.line[line][c][j];
        VISTA_UNROLL
        for (int k = 0; k < kFour; ++k) sums->of[round][k].of[c] += weights.of[k] * level;
      }
    }
  }
}

}  // namespace vista::cuda
