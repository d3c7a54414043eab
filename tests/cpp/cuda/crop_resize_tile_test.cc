// Runs the blocks of the CUDA kernel on the CPU, phase by phase, and compares with image/'s own
// resize and patches. scripts/gpu_check.sh compares the kernel on a GPU.
#include "cuda/crop_resize_tile.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "cuda/crop_resize_samples.h"
#include "cuda/crop_resize_weights.h"
#include "cuda/crop_resize_write.h"
#include "image/box.h"
#include "image/preprocess.h"
#include "image/resize.h"

namespace vista::cuda {
namespace {

constexpr Target kLevels = {Layout::kPlanes, 1, 1, 1, {1, 1, 1}, {0, 0, 0}};

Pixels Noise(Size size) {
  Pixels pixels = Pixels::Allocate(size).value();
  std::mt19937 random(static_cast<unsigned>(size.width * 1009 + size.height));
  for (std::size_t i = 0; i < pixels.bytes(); ++i)
    pixels.data()[i] = static_cast<std::uint8_t>(random());
  return pixels;
}

CropRow CropOf(const Pixels& image, const Box& box, Size size) {
  const std::int64_t edges[] = {box.left, box.top, box.right, box.bottom};
  const std::int64_t sides[] = {size.height, size.width};
  return RowOf(0, static_cast<std::int64_t>(image.stride()), edges, sides, true);
}

// As the kernel runs one row: every block, and in it each phase for all threads or warps before the
// next.
template <int kPatch>
void RunRow(const Pixels& image, const CropRow& row, const Arithmetic& arithmetic,
            const Target& target, std::vector<float>* out, std::int64_t first_patch = 0,
            int patches_across = 0) {
  // The kernel reads chunks that hold a byte of the image.
  std::vector<Chunk> chunks(image.bytes() / sizeof(Chunk) + 1);
  std::memcpy(static_cast<void*>(chunks.data()), image.data(), image.bytes());
  const auto* const pixels = reinterpret_cast<const std::uint8_t*>(chunks.data());
  const auto put = [out](float* to, float value) {
    const std::ptrdiff_t index = to - out->data();
    ASSERT_GE(index, 0);
    ASSERT_LT(index, static_cast<std::ptrdiff_t>(out->size()));
    EXPECT_TRUE(std::isnan(*to)) << "written twice: " << index;
    *to = value;
  };
  const auto put_four = [&](float* to, const Four& values) {
    ASSERT_EQ((to - out->data()) % kFour, 0);
    for (int n = 0; n < kFour; ++n) put(to + n, values.of[n]);
  };
  const auto each_warp = [](const auto& phase) {
    for (std::size_t warp = 0; warp < kWarps; ++warp) phase(warp);
  };
  const PlannedRow planned = PlanRow<kPatch>(row, arithmetic, first_patch, patches_across);
  const std::int64_t bytes = SharedBytes(planned.room, kStagedBytes<kPatch>);
  ASSERT_LE(bytes, kMostBytes);
  std::vector<Chunk> memory(static_cast<std::size_t>(bytes) / sizeof(Chunk));
  const Shared shared =
      SharedIn(reinterpret_cast<unsigned char*>(memory.data()), planned.room, kStagedBytes<kPatch>);
  const auto each_thread = [](const auto& phase) {
    for (int thread = 0; thread < kThreads; ++thread) phase(thread);
  };
  const auto fetch = [&](const Part& part) {
    each_thread([&](int thread) {
      FetchLines(planned, part, pixels, thread / kWarp, thread % kWarp, shared);
    });
  };
  const auto stage = [&](const Part& part) {
    each_thread([&](int thread) {
      StageSamples(planned, part, pixels, thread / kWarp, thread % kWarp, shared);
    });
  };
  const auto make_tile = [&](int block_first, int begin, int end, int number) {
    const Tile tile = TileOf<kPatch>(planned, block_first, begin + number * kTileLast<kPatch>);
    std::vector<Piece> pieces(kWarps);
    std::vector<Blocks> outputs(kWarps);
    std::vector<Blocks> lines(kWarps);
    each_warp([&](std::size_t warp) {
      const int own = static_cast<int>(warp);
      pieces[warp] = PieceOf<kPatch>(
          tile, EdgesOf<kPatch>(planned, arithmetic, block_first, begin, own), number, own);
      FillOutputs(arithmetic, &outputs[warp]);
    });
    const Reach samples = pieces[0].samples.tile;
    const Reach window = pieces[0].lines.tile;
    Part part = {{}, samples};
    for (int line = window.begin; line < window.end; line = part.lines.end) {
      part.lines = LinesFrom(line, window, planned.room);
      each_thread([&](int thread) {
        StageLastWeights<kPatch>(tile, planned, part, arithmetic, line == window.begin, thread,
                                 shared);
      });
      if (planned.room.whole) {
        if (number == 0 && line == window.begin) {
          each_thread([&](int thread) {
            StageFirstWeights<kPatch>(tile, planned, part, arithmetic, true, thread, shared);
          });
          fetch(part);
        }
        stage(part);
        const int next = begin + (number + 1) * kTileLast<kPatch>;
        if (part.lines.end < window.end) {
          fetch({LinesFrom(part.lines.end, window, planned.room), samples});
        } else if (next < end) {
          const Reach lines_of_next =
              SightOf(EdgesOf<kPatch>(planned, arithmetic, block_first, begin, 0), number + 1).tile;
          fetch({LinesFrom(lines_of_next.begin, lines_of_next, planned.room), samples});
        }
        each_warp([&](std::size_t warp) {
          ResizePart(pieces[warp], part, arithmetic, shared, &outputs[warp]);
        });
        continue;
      }
      each_warp([&](std::size_t warp) { Fill(0, &lines[warp]); });
      for (int sample = samples.begin; sample < samples.end; sample = part.samples.end) {
        part.samples = {sample, Least(sample + planned.room.samples, samples.end)};
        each_thread([&](int thread) {
          StageFirstWeights<kPatch>(tile, planned, part, arithmetic, sample == samples.begin,
                                    thread, shared);
        });
        fetch(part);
        stage(part);
        each_warp([&](std::size_t warp) { ResizeSome(pieces[warp], part, shared, &lines[warp]); });
      }
      each_warp([&](std::size_t warp) {
        ResizeLines(pieces[warp], part, arithmetic, lines[warp], shared, &outputs[warp]);
      });
    }
    each_warp([&](std::size_t warp) {
      const Piece& piece = pieces[warp];
      if constexpr (kPatch == 0) {
        WritePiece(tile, piece, planned, arithmetic, target, 0, outputs[warp], out->data(), put);
      } else {
        StagePatch<kPatch>(piece, planned, arithmetic, target, static_cast<int>(warp),
                           outputs[warp], shared);
        CopyPatch<kPatch>(tile, piece, planned, target, static_cast<int>(warp), shared, out->data(),
                          put_four);
      }
    });
  };
  for (int block = 0; block < planned.blocks; ++block) {
    std::memset(static_cast<void*>(memory.data()), 0xff, memory.size() * sizeof(Four));  // all NaN
    const int begin = block / planned.blocks_first * planned.tiles * kTileLast<kPatch>;
    const int end = Least(begin + planned.tiles * kTileLast<kPatch>, planned.last.size);
    for (int number = 0; begin + number * kTileLast<kPatch> < end; ++number)
      make_tile(block % planned.blocks_first, begin, end, number);
  }
}

struct Case {
  Size image;
  Box box;
  Size size;
};

const Case kCases[] = {
    {{40, 30}, {0, 0, 40, 30}, {40, 30}},    {{40, 30}, {3, 2, 37, 30}, {100, 71}},
    {{90, 150}, {1, 5, 90, 150}, {7, 9}},    {{9, 9}, {7, 3, 8, 4}, {65, 17}},
    {{300, 200}, {0, 0, 300, 200}, {1, 1}},  {{70, 60}, {0, 0, 70, 60}, {80, 20}},
    {{64, 900}, {2, 0, 64, 900}, {128, 16}}, {{900, 20}, {0, 0, 900, 20}, {11, 33}},
};

TEST(CropResizeTile, RoundedEqualsTheNativeResizeButForSingleLevels) {
  for (const Case& each : kCases) {
    const Pixels image = Noise(each.image);
    const Pixels want = Resize(Region(image.view(), each.box), each.size, Filter::kBicubic).value();
    const CropRow row = CropOf(image, each.box, each.size);
    const std::size_t plane =
        static_cast<std::size_t>(each.size.width) * static_cast<std::size_t>(each.size.height);
    std::vector<float> got(3 * plane, NAN);
    RunRow<0>(image, row, {true, true}, kLevels, &got);
    std::size_t off = 0;
    for (std::size_t i = 0; i < plane; ++i) {
      for (std::size_t c = 0; c < 3; ++c) {
        const float difference = std::abs(got[c * plane + i] - want.data()[3 * i + c]);
        ASSERT_LE(difference, 1) << each.size.width << " x " << each.size.height << " at " << i;
        off += difference > 0;
      }
    }
    EXPECT_LE(off, 3 * plane / 100) << each.size.width << " x " << each.size.height;
  }
}

// The same sums in double, straight from the definition.
double Exact(const Pixels& image, const Box& box, Size size, int y, int x, int channel) {
  const auto weight = [](double position, double length, double outputs) {
    const double d = std::abs(position) / std::max(1.0, length / outputs);
    return std::max(0.0, 1 - d);
  };
  const auto [width, height] = box.size();
  double sum = 0;
  double weights = 0;
  for (int v = 0; v < height; ++v) {
    const double down = weight(v + 0.5 - (y + 0.5) * height / size.height, height, size.height);
    for (int u = 0; u < width && down > 0; ++u) {
      const double both =
          down * weight(u + 0.5 - (x + 0.5) * width / size.width, width, size.width);
      sum += both * image.view().row(box.top + v)[3 * (box.left + u) + channel];
      weights += both;
    }
  }
  return sum / weights;
}

TEST(CropResizeTile, BilinearIsItsDefinition) {
  for (const Case& each : kCases) {
    const Pixels image = Noise(each.image);
    CropRow row = CropOf(image, each.box, each.size);
    const std::size_t plane =
        static_cast<std::size_t>(each.size.width) * static_cast<std::size_t>(each.size.height);
    std::vector<float> got(3 * plane, NAN);
    RunRow<0>(image, row, {false, false}, kLevels, &got);
    for (int y = 0; y < each.size.height; y += 5) {
      for (int x = 0; x < each.size.width; x += 7) {
        const std::size_t i = static_cast<std::size_t>(y * each.size.width + x);
        for (int c = 0; c < 3; ++c) {
          const double want = Exact(image, each.box, each.size, y, x, c);
          ASSERT_NEAR(got[static_cast<std::size_t>(c) * plane + i], want, 1e-3);
        }
      }
    }
  }
}

// The region `box` of an image as patches of side `patch`, by the tiles of kPatch.
template <int kPatch>
void ExpectNativePatches(Size size, const Box& box, int patch, int merge = 2, int temporal = 2) {
  const Pixels image = Noise(size);
  PreprocessOptions options;
  options.patch_size = patch;
  options.merge_size = merge;
  options.temporal_patch_size = temporal;
  const PatchLayout layout = LayOutPatches(box.size(), options).value();
  std::vector<float> want(layout.rows() * layout.row);
  ASSERT_TRUE(WritePatches(Region(image.view(), box), options, layout, want.data()).ok());

  const CropRow row = CropOf(image, box, layout.resized);
  Target target = {Layout::kPatches,
                   options.patch_size,
                   options.merge_size,
                   options.temporal_patch_size,
                   {},
                   {}};
  for (std::size_t c = 0; c < 3; ++c) {
    target.scale[c] = static_cast<float>(1 / (255 * options.std[c]));
    target.shift[c] = static_cast<float>(-options.mean[c] / options.std[c]);
  }
  const std::size_t skipped = 2 * layout.row;
  std::vector<float> got(skipped + want.size(), NAN);
  RunRow<kPatch>(image, row, {true, true}, target, &got, 2, layout.grid_width);
  EXPECT_TRUE(std::all_of(got.begin(), got.begin() + static_cast<std::ptrdiff_t>(skipped),
                          [](float value) { return std::isnan(value); }));
  std::size_t off = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const float difference = std::abs(got[skipped + i] - want[i]);
    ASSERT_LE(difference, 1 / 255.0 / 0.26 + 1e-5) << i;
    off += difference > 1e-5;
  }
  EXPECT_LE(off, want.size() / 100);
}

TEST(CropResizeTile, PatchesAreTheNativeOnesButForSingleLevels) {
  const Size size = {90, 121};
  const Box boxes[] = {{11, 4, 90, 101}, {0, 0, 90, 121}, {5, 7, 75, 30}};
  for (const Box& box : boxes) {
    ExpectNativePatches<0>(size, box, 14);
    ExpectNativePatches<14>(size, box, 14);
    ExpectNativePatches<16>(size, box, 16);
    ExpectNativePatches<0>(size, box, 10);
    ExpectNativePatches<14>(size, box, 14, 1, 1);
    ExpectNativePatches<16>(size, box, 16, 3, 3);
    ExpectNativePatches<0>(size, box, 7, 3, 1);
  }
  // Shrunk far, and turned: rows are lost, and more than twice the columns.
  ExpectNativePatches<14>({60, 4000}, {0, 0, 60, 3999}, 14);
  ExpectNativePatches<16>({60, 4000}, {0, 0, 60, 3999}, 16);
  ExpectNativePatches<14>({2500, 2500}, {0, 0, 2500, 2500}, 14);
}

}  // namespace
}  // namespace vista::cuda
