#include "image/preprocess.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "images.h"

namespace vista {
namespace {

using testing::Noise;

struct PreprocessCase {
  Size image;
  Size resized;
};

// The results of transformers' smart_resize(height, width, 28, 3136, 1003520).
TEST(SmartResize, MatchesTransformers) {
  const PreprocessCase cases[] = {
      {{1, 1}, {56, 56}},          {{10, 10}, {56, 56}},        {{28, 28}, {56, 56}},
      {{42, 70}, {56, 56}},        {{55, 57}, {56, 56}},        {{56, 56}, {56, 56}},
      {{112, 112}, {112, 112}},    {{640, 480}, {644, 476}},    {{1280, 960}, {1148, 840}},
      {{1920, 1080}, {1316, 728}}, {{4000, 3000}, {1148, 840}}, {{3000, 4000}, {840, 1148}},
      {{15, 3000}, {28, 2996}},    {{14, 42}, {56, 112}},       {{98, 70}, {112, 56}},
      {{1003, 1001}, {980, 980}},  {{20000, 100}, {14140, 56}}};
  for (const PreprocessCase& each : cases) {
    const Result<Size> size = SmartResize(each.image, 28, 56 * 56, 28 * 28 * 1280);
    ASSERT_TRUE(size.ok()) << size.status().message();
    EXPECT_EQ(size.value(), each.resized) << each.image.width << " x " << each.image.height;
  }
}

TEST(SmartResize, RefusesLongStrips) {
  EXPECT_TRUE(SmartResize({2000, 10}, 28, 3136, 1003520).ok());
  const Status status = SmartResize({2001, 10}, 28, 3136, 1003520).status();
  EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
  EXPECT_NE(status.message().find("aspect"), std::string::npos);
}

TEST(WritePatches, PutsEveryPixelInItsPlace) {
  // An image that is not resized: 4 x 6 patches of 2 x 2 pixels, merged 2 x 2, repeated 3 times.
  PreprocessOptions options;
  options.patch_size = 2;
  options.merge_size = 2;
  options.temporal_patch_size = 3;
  options.min_pixels = 1;
  const Pixels source = Noise(12, 8, 1);
  const PatchLayout layout = std::move(LayOutPatches(source.size(), options)).value();
  ASSERT_EQ(layout.resized, source.size());
  ASSERT_EQ(layout.grid_height, 4);
  ASSERT_EQ(layout.grid_width, 6);
  ASSERT_EQ(layout.row, 3u * 3 * 2 * 2);
  std::vector<float> out(layout.rows() * layout.row);
  ASSERT_TRUE(WritePatches(source.view(), options, layout, out.data()).ok());
  std::size_t i = 0;
  for (int gy = 0; gy < 4; gy += 2)
    for (int gx = 0; gx < 6; gx += 2)
      for (int my = 0; my < 2; ++my)
        for (int mx = 0; mx < 2; ++mx)
          for (int c = 0; c < 3; ++c)
            for (int t = 0; t < 3; ++t)
              for (int py = 0; py < 2; ++py)
                for (int px = 0; px < 2; ++px) {
                  const int y = 2 * (gy + my) + py;
                  const int x = 2 * (gx + mx) + px;
                  const float scaled = static_cast<float>(source.view().row(y)[3 * x + c] / 255.0);
                  const float expected = (scaled - static_cast<float>(options.mean[c])) /
                                         static_cast<float>(options.std[c]);
                  ASSERT_NEAR(out[i++], expected, 1e-6);
                }
  EXPECT_EQ(i, out.size());
}

TEST(LayOutPatches, RefusesOptionsWithoutMeaning) {
  const auto refused = [](auto change) {
    PreprocessOptions options;
    change(options);
    return LayOutPatches({100, 100}, options).status().code() == StatusCode::kInvalidArgument;
  };
  EXPECT_TRUE(refused([](auto& o) { o.patch_size = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.merge_size = -1; }));
  EXPECT_TRUE(refused([](auto& o) { o.temporal_patch_size = 1 << 30; }));
  EXPECT_TRUE(refused([](auto& o) { o.min_pixels = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.max_pixels = o.min_pixels - 1; }));
  EXPECT_TRUE(refused([](auto& o) { o.std[1] = 0; }));
  EXPECT_TRUE(refused([](auto& o) { o.mean[2] = std::nan(""); }));
}

}  // namespace
}  // namespace vista
