#include "image/preprocess.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "image/resize.h"
#include "image/rows.h"

namespace vista {
namespace {

constexpr double kMostAspect = 200.0;

Status CheckRange(const char* name, std::int64_t value, std::int64_t low, std::int64_t high) {
  if (value >= low && value <= high) return {};
  return Status::InvalidArgument(std::string(name) + " is " + std::to_string(value) +
                                 "; give a whole number from " + std::to_string(low) + " to " +
                                 std::to_string(high));
}

Status CheckOptions(const PreprocessOptions& options) {
  Status checks[] = {
      CheckRange("patch_size", options.patch_size, 1, kMostPatch),
      CheckRange("merge_size", options.merge_size, 1, kMostMerge),
      CheckRange("temporal_patch_size", options.temporal_patch_size, 1, kMostTemporal),
      CheckRange("min_pixels", options.min_pixels, 1, kDefaultPixelLimit),
      CheckRange("max_pixels", options.max_pixels, options.min_pixels, kDefaultPixelLimit)};
  for (Status& check : checks) {
    if (!check.ok()) return std::move(check);
  }
  return MakeNormalisationTable(options.mean, options.std).status();
}

// One patch: channels apart, each repeated in time.
void WritePatch(const PixelView& patch, const NormalisationTable& table, int repeats, float* out) {
  const auto [width, height] = patch.size;
  const std::size_t plane = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  const std::size_t channel = static_cast<std::size_t>(repeats) * plane;
  Normalise(patch, table, out, channel);
  for (int c = 0; c < 3; ++c, out += channel) {
    for (int t = 1; t < repeats; ++t)
      std::memcpy(out + static_cast<std::size_t>(t) * plane, out, plane * sizeof(float));
  }
}

}  // namespace

Result<Size> SmartResize(Size image, int factor, std::int64_t min_pixels, std::int64_t max_pixels) {
  const double width = image.width;
  const double height = image.height;
  const double aspect = std::max(width, height) / std::min(width, height);
  if (aspect > kMostAspect) {
    char text[160];
    std::snprintf(text, sizeof text,
                  "an image of %d x %d pixels has the aspect ratio %.4g; at most %.0f can be "
                  "preprocessed: crop it first",
                  image.width, image.height, aspect, kMostAspect);
    return Status::InvalidArgument(text);
  }
  // nearbyint rounds halves to even, as Python's round.
  double tall = std::nearbyint(height / factor) * factor;
  double wide = std::nearbyint(width / factor) * factor;
  const auto most = static_cast<double>(max_pixels);
  const auto least = static_cast<double>(min_pixels);
  if (tall * wide > most) {
    const double beta = std::sqrt(height * width / most);
    tall = std::max<double>(factor, std::floor(height / beta / factor) * factor);
    wide = std::max<double>(factor, std::floor(width / beta / factor) * factor);
  } else if (tall * wide < least) {
    const double beta = std::sqrt(least / (height * width));
    tall = std::ceil(height * beta / factor) * factor;
    wide = std::ceil(width * beta / factor) * factor;
  }
  if (Status status = CheckSize("the resized image", static_cast<std::int64_t>(wide),
                                static_cast<std::int64_t>(tall));
      !status.ok()) {
    return status;
  }
  return Size{static_cast<int>(wide), static_cast<int>(tall)};
}

Result<PatchLayout> LayOutPatches(Size image, const PreprocessOptions& options) {
  if (Status status = CheckOptions(options); !status.ok()) return status;
  const Result<Size> resized = SmartResize(image, options.patch_size * options.merge_size,
                                           options.min_pixels, options.max_pixels);
  if (!resized.ok()) return resized.status();
  const auto [width, height] = resized.value();
  const auto patch = static_cast<std::size_t>(options.patch_size);
  return PatchLayout{resized.value(), height / options.patch_size, width / options.patch_size,
                     3 * static_cast<std::size_t>(options.temporal_patch_size) * patch * patch};
}

Status WritePatches(const PixelView& source, const PreprocessOptions& options,
                    const PatchLayout& layout, float* out) {
  const Result<Pixels> resized = Resize(source, layout.resized, Filter::kBicubic);
  if (!resized.ok()) return resized.status();
  const PixelView pixels = resized.value().view();
  const Result<NormalisationTable> table = MakeNormalisationTable(options.mean, options.std);
  if (!table.ok()) return table.status();
  std::vector<float> one(layout.row);
  const int patch = options.patch_size;
  const int merge = options.merge_size;
  for (int group_y = 0; group_y < layout.grid_height; group_y += merge) {
    for (int group_x = 0; group_x < layout.grid_width; group_x += merge) {
      for (int y = group_y; y < group_y + merge; ++y) {
        for (int x = group_x; x < group_x + merge; ++x, out += layout.row) {
          const std::uint8_t* corner =
              pixels.row(y * patch) + 3 * static_cast<std::ptrdiff_t>(x * patch);
          WritePatch({corner, {patch, patch}, pixels.stride}, table.value(),
                     options.temporal_patch_size, one.data());
          CopyRows(one.data(), one.size(), out);
        }
      }
    }
  }
  FinishRows();
  return {};
}

}  // namespace vista
