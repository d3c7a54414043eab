// Runs the blocks of the CUDA kernel on the CPU, phase by phase, and compares with image/'s own
// resize and patches. scripts/gpu_check.sh compares the kernel on a GPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "image/box.h"
#include "image/preprocess.h"
#include "image/resize.h"
#include "row_on_host.h"

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

template <int kPatch>
void RunRow(const Pixels& image, const CropRow& row, const Arithmetic& arithmetic,
            const Target& target, std::vector<float>* out, std::int64_t first_number = 0,
            int patches_across = 0) {
  std::vector<Chunk> chunks((image.bytes() + sizeof(Chunk) - 1) / sizeof(Chunk));
  std::memcpy(static_cast<void*>(chunks.data()), image.data(), image.bytes());
  const PlannedRow planned = PlanRow<kPatch>(row, arithmetic, first_number, patches_across);
  const auto* const pixels = reinterpret_cast<const std::uint8_t*>(chunks.data());
  RowOnHost<kPatch>(planned, arithmetic, target, pixels, out).Run();
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
double Exact(const Pixels& image, const Box& box, Size size, bool bicubic, int y, int x,
             int channel) {
  const auto weight = [bicubic](double position, double length, double outputs) {
    const double d = std::abs(position) / std::max(1.0, length / outputs);
    if (!bicubic) return std::max(0.0, 1 - d);
    return d < 1 ? (1.5 * d - 2.5) * d * d + 1 : d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
  };
  const auto [width, height] = box.size();
  double sum = 0;
  double weights = 0;
  for (int v = 0; v < height; ++v) {
    const double down = weight(v + 0.5 - (y + 0.5) * height / size.height, height, size.height);
    for (int u = 0; u < width && down != 0; ++u) {
      const double both =
          down * weight(u + 0.5 - (x + 0.5) * width / size.width, width, size.width);
      sum += both * image.view().row(box.top + v)[3 * (box.left + u) + channel];
      weights += both;
    }
  }
  return std::clamp(sum / weights, 0.0, 255.0);
}

TEST(CropResizeTile, PlanesAreTheirDefinition) {
  for (const bool bicubic : {false, true}) {
    for (const Case& each : kCases) {
      const Pixels image = Noise(each.image);
      const CropRow row = CropOf(image, each.box, each.size);
      const std::size_t plane =
          static_cast<std::size_t>(each.size.width) * static_cast<std::size_t>(each.size.height);
      std::vector<float> got(3 * plane, NAN);
      RunRow<0>(image, row, {bicubic, false}, kLevels, &got);
      for (int y = 0; y < each.size.height; y += 5) {
        for (int x = 0; x < each.size.width; x += 7) {
          const std::size_t i = static_cast<std::size_t>(y * each.size.width + x);
          for (int c = 0; c < 3; ++c) {
            const double want = Exact(image, each.box, each.size, bicubic, y, x, c);
            ASSERT_NEAR(got[static_cast<std::size_t>(c) * plane + i], want, 2e-3);
          }
        }
      }
    }
  }
}

// What lies in shared memory at once is a part of the samples of some lines, or of the lines, and
// rows are turned or not.
enum class Parts { kOfSamples, kOfLines };

template <int kPatch>
void ExpectExactPatches(Size size, const Box& box, Size resized, int temporal, bool turned,
                        Parts parts) {
  const Pixels image = Noise(size);
  const CropRow row = CropOf(image, box, resized);
  ASSERT_EQ(row.turned, turned);
  const Arithmetic arithmetic = {true, false};
  const int across = resized.width / kPatch;
  const PlannedRow planned = PlanRow<kPatch>(row, arithmetic, 0, across);
  ASSERT_EQ(planned.room.whole, parts == Parts::kOfLines);
  ASSERT_LT(planned.room.lines, SpanOf(kTileLast<kPatch>, planned.last, arithmetic));
  const Target target = {Layout::kPatches, kPatch, 1, temporal, {1, 1, 1}, {0, 0, 0}};
  std::vector<float> got(static_cast<std::size_t>(3 * temporal * resized.width * resized.height),
                         NAN);
  RunRow<kPatch>(image, row, arithmetic, target, &got, 0, across);
  for (int y = 0; y < resized.height; y += 3) {
    for (int x = 0; x < resized.width; x += 3) {
      const int patch = y / kPatch * across + x / kPatch;
      for (int c = 0; c < 3; ++c) {
        const double want = Exact(image, box, resized, true, y, x, c);
        for (int t = 0; t < temporal; ++t) {
          const int plane = (patch * 3 + c) * temporal + t;
          const int i = plane * kPatch * kPatch + y % kPatch * kPatch + x % kPatch;
          ASSERT_NEAR(got[static_cast<std::size_t>(i)], want, 2e-3) << y << " " << x << " " << c;
        }
      }
    }
  }
}

TEST(CropResizeTile, PatchesOfLargeShrinksAreTheirDefinition) {
  ExpectExactPatches<14>({460, 400}, {3, 5, 459, 398}, {84, 70}, 2, false, Parts::kOfLines);
  ExpectExactPatches<16>({460, 400}, {3, 5, 459, 398}, {96, 80}, 1, false, Parts::kOfLines);
  ExpectExactPatches<14>({300, 1010}, {1, 7, 300, 1005}, {56, 224}, 1, true, Parts::kOfLines);
  ExpectExactPatches<16>({300, 1010}, {1, 7, 300, 1005}, {64, 240}, 3, true, Parts::kOfLines);
  ExpectExactPatches<14>({1500, 90}, {2, 1, 1499, 90}, {56, 14}, 3, false, Parts::kOfSamples);
  ExpectExactPatches<16>({1500, 90}, {2, 1, 1499, 90}, {48, 16}, 2, false, Parts::kOfSamples);
  ExpectExactPatches<14>({90, 1500}, {2, 1, 90, 1499}, {14, 56}, 2, true, Parts::kOfSamples);
  ExpectExactPatches<16>({90, 1500}, {2, 1, 90, 1499}, {16, 48}, 1, true, Parts::kOfSamples);
}

TEST(CropResizeTile, RoomIsForWhatThereIs) {
  const Arithmetic arithmetic = {true, false};
  EXPECT_EQ(SpanOf(64, AxisOf(3, 33'000'000, 1), arithmetic), 33'000'000);
  const CropRow row = {0, 3 * 100'000'000, 1, 1, 3, 100'000'000, 2, false};
  const PlannedRow planned = PlanRow<0>(row, arithmetic, 0, 0);
  EXPECT_FALSE(planned.room.whole);
  EXPECT_GT(SharedBytes(planned.room, 0), 0);
  EXPECT_LE(SharedBytes(planned.room, 0), kMostBytes);
}

PreprocessOptions PatchesOf(int patch, int merge = 2, int temporal = 2) {
  PreprocessOptions options;
  options.patch_size = patch;
  options.merge_size = merge;
  options.temporal_patch_size = temporal;
  return options;
}

// The region `box` of an image as patches, by the tiles of kPatch, or by its near patches.
template <int kPatch>
void ExpectNativePatches(Size size, const Box& box, const PreprocessOptions& options,
                         bool near = kPatch != 0) {
  const Pixels image = Noise(size);
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
  EXPECT_EQ(PlanRow<kPatch>(row, {true, true}, 0, layout.grid_width).near, near);
  constexpr std::size_t skipped = 8;
  std::vector<float> got(skipped + want.size(), NAN);
  RunRow<kPatch>(image, row, {true, true}, target, &got, skipped, layout.grid_width);
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
    ExpectNativePatches<0>(size, box, PatchesOf(14));
    ExpectNativePatches<14>(size, box, PatchesOf(14));
    ExpectNativePatches<16>(size, box, PatchesOf(16));
    ExpectNativePatches<0>(size, box, PatchesOf(10));
    ExpectNativePatches<14>(size, box, PatchesOf(14, 1, 1));
    ExpectNativePatches<16>(size, box, PatchesOf(16, 3, 3));
    ExpectNativePatches<0>(size, box, PatchesOf(7, 3, 1));
  }
  // Long, and shrunk.
  ExpectNativePatches<14>({60, 4000}, {0, 0, 60, 3999}, PatchesOf(14));
  ExpectNativePatches<16>({60, 4000}, {0, 0, 60, 3999}, PatchesOf(16));
  ExpectNativePatches<14>({1500, 1500}, {0, 0, 1500, 1500}, PatchesOf(14));
}

// Lines that begin anywhere in sixteen bytes; several blocks along both axes, cut at their edges;
// outputs enlarged and shrunk, as far as near rows go and further.
TEST(CropResizeTile, NearPatchesAreTheNativeOnes) {
  for (int width = 210; width < 218; ++width) {
    const Size size = {width, 190};
    for (int left = 0; left < 6; ++left)
      ExpectNativePatches<14>(size, {left, left, width, 186 - left}, PatchesOf(14));
  }
  PreprocessOptions options = PatchesOf(14);
  for (const int side : {30, 90, 150}) {
    options.min_pixels = options.max_pixels = 28 * 28 * 25;
    ExpectNativePatches<14>({160, 151}, {3, 1, 3 + side, 1 + side}, options);
  }
  options.min_pixels = options.max_pixels = 28 * 28 * 16;  // 112 a side
  ExpectNativePatches<14>({200, 200}, {1, 0, 199, 198}, options);
  ExpectNativePatches<14>({212, 212}, {0, 0, 212, 212}, options, false);
  options = PatchesOf(16);
  options.min_pixels = options.max_pixels = 32 * 32 * 16;  // 128 a side
  ExpectNativePatches<16>({204, 204}, {0, 0, 204, 204}, options);
  ExpectNativePatches<16>({217, 217}, {0, 0, 217, 217}, options, false);
  ExpectNativePatches<16>({9, 9}, {2, 3, 9, 8}, options);
  // All that there is fits, but not all of an output's weights.
  options = PatchesOf(14, 1);
  options.min_pixels = options.max_pixels = 14 * 14;
  ExpectNativePatches<14>({32, 32}, {0, 0, 32, 32}, options, false);
  ExpectNativePatches<14>({32, 32}, {0, 0, 28, 28}, options);
}

}  // namespace
}  // namespace vista::cuda
