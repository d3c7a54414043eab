// What one block of threads does for one tile of the output: it stages a part of the source, each
// warp multiplies and adds for its piece of the tile, and so on until the tile's whole source was
// seen; then the pieces are written (crop_resize_write.h). A barrier lies between those phases.
//
// A piece, with its outputs along the first axis as rows of 16, is W S V: samples S, a column for
// each line of the source, weights W of the first axis in rows, and V of the last in columns. The
// sums of W S are the lanes' own and become the left matrix of the second product where they are,
// so that nothing lies in shared memory between the two.
#pragma once

#include "cuda/crop_resize_block.h"
#include "cuda/crop_resize_filter.h"
#include "cuda/crop_resize_plan.h"
#include "cuda/warp.h"

namespace vista::cuda {

// What a warp's piece of a tile can see along one axis, and the whole tile.
struct Sight {
  Reach piece;
  Reach tile;
};

// The lines of a part that begins at `begin`, of those that a tile sees.
VISTA_DEVICE Reach LinesFrom(int begin, const Reach& window, const Room& room) {
  return {begin, Least(begin + room.lines, window.end)};
}

// A warp's share of a tile.
struct Piece {
  int first, last;  // its number along each axis
  int first_count;  // its outputs along each axis, none where the tile is cut
  int last_count;
  Sight samples;
  Sight lines;
};

// The edges of what a warp's pieces of a block's tiles can see, by a lane each: four of the lines
// of each tile, and four of the samples. What lanes have of tiles that do not exist, and further
// lanes, is of no use.
template <int kPatch>
VISTA_DEVICE Lanes<int> EdgesOf(const PlannedRow& row, const Arithmetic& arithmetic,
                                int block_first, int block_begin, int warp) {
  Lanes<int> edges;
  ForEachLane([&](int lane) {
    const bool end = lane & 1;
    const bool whole = lane & 2;
    const bool along_first = lane / 4 == kMostTiles;
    const Tile tile = TileOf<kPatch>(row, block_first, block_begin + lane / 4 * kTileLast<kPatch>);
    const int begin = along_first ? tile.first_begin : tile.last_begin;
    const int count = along_first ? tile.first_count : tile.last_count;
    const int own_begin = (along_first ? warp % kAcross : warp / kAcross) * kSide<kPatch>;
    const int own_count = Least(kSide<kPatch>, count - own_begin);
    const int output =
        begin + (whole ? 0 : own_begin) + (end ? (whole ? count : own_count) - 1 : 0);
    const Axis& axis = along_first ? row.first : row.last;
    edges[lane] = EdgeOf(end, Least(output, axis.size - 1), axis, arithmetic);
  });
  return edges;
}

VISTA_DEVICE Sight SightOf(const Lanes<int>& edges, int group) {
  return {{Told(edges, 4 * group), Told(edges, 4 * group + 1)},
          {Told(edges, 4 * group + 2), Told(edges, 4 * group + 3)}};
}

// A warp's piece of tile `number` of a block.
template <int kPatch>
VISTA_DEVICE Piece PieceOf(const Tile& tile, const Lanes<int>& edges, int number, int warp) {
  Piece piece;
  piece.first = warp % kAcross;
  piece.last = warp / kAcross;
  piece.first_count = Least(kSide<kPatch>, tile.first_count - piece.first * kSide<kPatch>);
  piece.last_count = Least(kSide<kPatch>, tile.last_count - piece.last * kSide<kPatch>);
  piece.samples = SightOf(edges, kMostTiles);
  piece.lines = SightOf(edges, number);
  return piece;
}

VISTA_DEVICE bool IsEmpty(const Piece& piece) {
  return piece.first_count <= 0 || piece.last_count <= 0;
}

// Sums of sixteen outputs along the first axis by two times eight lines, or outputs along the last.
struct Block {
  Lanes<Sums> of[2];
};

// Of each channel.
struct Blocks {
  Block of[3];
};

VISTA_DEVICE void Fill(float value, Block* block) {
  VISTA_UNROLL
  for (int n = 0; n < 2; ++n) Fill(value, &block->of[n]);
}

VISTA_DEVICE void Fill(float value, Blocks* blocks) {
  VISTA_UNROLL
  for (int c = 0; c < 3; ++c) Fill(value, &blocks->of[c]);
}

inline constexpr float kLineUnit = kWeightUnit / kSampleUnit;

// Of the sums of outputs: whole levels are multiplied as bytes, as samples are.
VISTA_DEVICE float OutputUnit(const Arithmetic& arithmetic) {
  return arithmetic.rounded ? kLineUnit : kWeightUnit;
}

// Outputs begin at a half where they end at whole levels, which are then what lies below.
VISTA_DEVICE void FillOutputs(const Arithmetic& arithmetic, Blocks* outputs) {
  Fill(arithmetic.rounded ? 0.5f / kLineUnit : 0, outputs);
}

// What a warp multiplies of a part, for kStep lines of it.
struct Step {
  Lanes<const Half*> first;    // rows of its first weights,
  Lanes<const Half*> samples;  // of samples of the first channel,
  Lanes<const Half*> end;      // as they are of the part's last line,
  Lanes<const Half*> last;     // and of its last weights
  int samples_count;           // over which products go
};

// Of lines from `begin`, as far as they are in the part.
VISTA_DEVICE Step StepOf(const Piece& piece, const Part& part, int begin, const Shared& shared) {
  const int line = begin - part.lines.begin;
  const int column = begin - Most(piece.lines.piece.begin, part.lines.begin);
  const Reach seen = Common(piece.samples.piece, part.samples);
  const int origin = AlignedBegin(seen.begin, part);
  Step step;
  ForEachLane([&](int lane) {
    const unsigned own = Opaque(lane);
    const int row = static_cast<int>(own % 8);
    const int far = static_cast<int>(own / 16 * 8);
    const int odd = static_cast<int>(own / 8 % 2 * 8);
    const Half* const samples = shared.samples + (origin - part.samples.begin + odd);
    const int end = part.lines.end - part.lines.begin - 1;
    step.first[lane] =
        shared.first.high + (piece.first * kPiece + odd + row) * shared.first.stride + far;
    step.samples[lane] = samples + Least(line + far + row, end) * shared.stride;
    step.end[lane] = samples + end * shared.stride;
    step.last[lane] =
        shared.last.high + (piece.last * kPiece + far + row) * shared.last.stride + column + odd;
  });
  step.samples_count = seen.end - origin;
  return step;
}

// The next kStep lines.
VISTA_DEVICE void Advance(const Shared& shared, Step* step) {
  ForEachLane([&](int lane) {
    const Half* const next = step->samples[lane] + kStep * shared.stride;
    step->samples[lane] = next < step->end[lane] ? next : step->end[lane];
    step->last[lane] += kStep;
  });
}

VISTA_DEVICE void Load(const Lanes<const Half*>& rows, int offset, Lanes<Matrices>* loaded) {
  Lanes<const Half*> from;
  ForEachLane([&](int lane) { from[lane] = rows[lane] + offset; });
  LoadMatrices(from, loaded);
}

// Weights for kStep samples or lines.
struct StepWeights {
  Lanes<Matrices> high, low;
};

VISTA_DEVICE void LoadWeights(const Lanes<const Half*>& rows, int offset, const Weights& weights,
                              StepWeights* loaded) {
  Load(rows, offset, &loaded->high);
  Load(rows, offset + static_cast<int>(weights.low - weights.high), &loaded->low);
}

// Adds the first products of a channel over kStep samples.
VISTA_DEVICE void AddSamples(const Step& step, const StepWeights& weights, int channel, int sample,
                             const Shared& shared, Block* lines) {
  Lanes<Matrices> samples;
  Load(step.samples, channel * shared.plane + sample, &samples);
  // By turns, because each sum has to wait for the one before.
  MultiplyAdd(weights.high, samples, 0, &lines->of[0]);
  MultiplyAdd(weights.high, samples, 1, &lines->of[1]);
  MultiplyAdd(weights.low, samples, 0, &lines->of[0]);
  MultiplyAdd(weights.low, samples, 1, &lines->of[1]);
}

// And over all that it sees.
VISTA_DEVICE void AddAllSamples(const Step& step, int channel, const Shared& shared, Block* lines) {
  VISTA_NO_UNROLL
  for (int sample = 0; sample < step.samples_count; sample += kStep) {
    StepWeights weights;
    LoadWeights(step.first, sample, shared.first, &weights);
    AddSamples(step, weights, channel, sample, shared, lines);
  }
}

// Lines as whole levels, which are the left matrix of a product.
VISTA_DEVICE void WholeLevels(const Block& lines, Lanes<Matrices>* levels) {
  ForEachLane([&](int lane) {
    VISTA_UNROLL
    for (int n = 0; n < 4; ++n) {
      const float* const sums = lines.of[n / 2][lane].of + n % 2 * 2;
      (*levels)[lane].of[n] = NearestBytes(sums[0], sums[1], kLineUnit);
    }
  });
}

// As levels in halves, and what is left of them beside those.
VISTA_DEVICE void ExactLevels(const Block& lines, Lanes<Matrices>* levels, Lanes<Matrices>* rest) {
  ForEachLane([&](int lane) {
    VISTA_UNROLL
    for (int n = 0; n < 4; ++n) {
      const float* const sums = lines.of[n / 2][lane].of + n % 2 * 2;
      const float low = sums[0] * kLineUnit;
      const float high = sums[1] * kLineUnit;
      const std::uint32_t nearest = HalvesOf(low, high);
      (*levels)[lane].of[n] = nearest;
      (*rest)[lane].of[n] = HalvesOf(low - LowOf(nearest), high - HighOf(nearest));
    }
  });
}

// Adds the second products of a channel.
VISTA_DEVICE void AddLines(const StepWeights& weights, const Arithmetic& arithmetic,
                           const Block& lines, Block* outputs) {
  Lanes<Matrices> levels;
  if (arithmetic.rounded) {
    WholeLevels(lines, &levels);
  } else {
    Lanes<Matrices> rest;
    ExactLevels(lines, &levels, &rest);
    MultiplyAdd(rest, weights.high, 0, &outputs->of[0]);
    MultiplyAdd(rest, weights.high, 1, &outputs->of[1]);
  }
  MultiplyAdd(levels, weights.high, 0, &outputs->of[0]);
  MultiplyAdd(levels, weights.high, 1, &outputs->of[1]);
  MultiplyAdd(levels, weights.low, 0, &outputs->of[0]);
  MultiplyAdd(levels, weights.low, 1, &outputs->of[1]);
}

// A warp's share of a part that has all samples of its lines.
VISTA_DEVICE void ResizePart(const Piece& piece, const Part& part, const Arithmetic& arithmetic,
                             const Shared& shared, Blocks* outputs) {
  if (IsEmpty(piece)) return;
  const Reach seen = Common(piece.lines.piece, part.lines);
  if (seen.begin >= seen.end) return;
  // Most tiles are enlarged, or shrunk so little that the weights can stay in registers.
  constexpr int kFew = 2;
  StepWeights weights[kFew];
  Step step = StepOf(piece, part, seen.begin, shared);
  const bool few = step.samples_count <= kFew * kStep;
  if (few) {
    LoadWeights(step.first, 0, shared.first, &weights[0]);
    if (step.samples_count > kStep) LoadWeights(step.first, kStep, shared.first, &weights[1]);
  }
  VISTA_NO_UNROLL
  for (int begin = seen.begin; begin < seen.end; begin += kStep) {
    StepWeights last;
    LoadWeights(step.last, 0, shared.last, &last);
    VISTA_UNROLL
    for (int c = 0; c < 3; ++c) {
      Block lines;
      Fill(0, &lines);
      if (few) {
        AddSamples(step, weights[0], c, 0, shared, &lines);
        if (step.samples_count > kStep) AddSamples(step, weights[1], c, kStep, shared, &lines);
      } else {
        AddAllSamples(step, c, shared, &lines);
      }
      AddLines(last, arithmetic, lines, &outputs->of[c]);
    }
    Advance(shared, &step);
  }
}

// Of a part that has some samples of at most kStep lines: adds to the warp's sums of them.
VISTA_DEVICE void ResizeSome(const Piece& piece, const Part& part, const Shared& shared,
                             Blocks* lines) {
  if (IsEmpty(piece)) return;
  const Reach seen = Common(piece.lines.piece, part.lines);
  if (seen.begin >= seen.end) return;
  const Step step = StepOf(piece, part, seen.begin, shared);
  VISTA_UNROLL
  for (int c = 0; c < 3; ++c) AddAllSamples(step, c, shared, &lines->of[c]);
}

// And when all samples of those lines were seen.
VISTA_DEVICE void ResizeLines(const Piece& piece, const Part& part, const Arithmetic& arithmetic,
                              const Blocks& lines, const Shared& shared, Blocks* outputs) {
  if (IsEmpty(piece)) return;
  const Reach seen = Common(piece.lines.piece, part.lines);
  if (seen.begin >= seen.end) return;
  const Step step = StepOf(piece, part, seen.begin, shared);
  StepWeights last;
  LoadWeights(step.last, 0, shared.last, &last);
  VISTA_UNROLL
  for (int c = 0; c < 3; ++c) AddLines(last, arithmetic, lines.of[c], &outputs->of[c]);
}

}  // namespace vista::cuda
