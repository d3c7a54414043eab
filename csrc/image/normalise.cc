#include "image/normalise.h"

#include <cmath>
#include <cstdio>

namespace vista {
namespace generic {
namespace {

void Block(const std::uint8_t* from, std::ptrdiff_t stride, int width, int height,
           const NormalisationTable& table, float* out, std::ptrdiff_t plane) {
  for (int c = 0; c < 3; ++c, out += plane) {
    const float* normalised = table.value[static_cast<std::size_t>(c)].data();
    float* to = out;
    for (int y = 0; y < height; ++y) {
      const std::uint8_t* row = from + y * stride + c;
      for (int x = 0; x < width; ++x) *to++ = normalised[row[3 * static_cast<std::ptrdiff_t>(x)]];
    }
  }
}

}  // namespace

const NormaliseKernel kNormalise = {"generic", Block, nullptr};

}  // namespace generic

namespace {

const NormaliseKernel& BestNormaliseKernel() {
  static const NormaliseKernel& best = *UsableNormaliseKernels().back();
  return best;
}

}  // namespace

Status CheckNormalisation(const Channels& mean, const Channels& std) {
  for (std::size_t c = 0; c < 3; ++c) {
    if (!std::isfinite(mean[c]) || !std::isfinite(std[c]) || std[c] <= 0) {
      char text[160];
      std::snprintf(text, sizeof text,
                    "mean %.6g and std %.6g of channel %zu; give finite numbers, std above 0",
                    mean[c], std[c], c);
      return Status::InvalidArgument(text);
    }
  }
  return {};
}

Result<NormalisationTable> MakeNormalisationTable(const Channels& mean, const Channels& std) {
  if (Status status = CheckNormalisation(mean, std); !status.ok()) return status;
  NormalisationTable table;
  for (std::size_t c = 0; c < 3; ++c) {
    table.mean[c] = static_cast<float>(mean[c]);
    table.std[c] = static_cast<float>(std[c]);
    for (int value = 0; value < 256; ++value) {
      const auto scaled = static_cast<float>(value * (1.0 / 255.0));
      table.value[c][static_cast<std::size_t>(value)] = (scaled - table.mean[c]) / table.std[c];
    }
  }
  const NormaliseKernel& best = BestNormaliseKernel();
  table.computable = best.computes != nullptr && best.computes(table);
  return table;
}

std::vector<const NormaliseKernel*> UsableNormaliseKernels() {
  std::vector<const NormaliseKernel*> usable = {&generic::kNormalise};
#ifdef VISTA_X86_KERNELS
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vbmi")) {
    usable.push_back(&avx512::kNormalise);
  }
#endif
  return usable;
}

void Normalise(const PixelView& pixels, const NormalisationTable& table, float* out,
               std::ptrdiff_t plane) {
  BestNormaliseKernel().block(pixels.data, pixels.stride, pixels.size.width, pixels.size.height,
                              table, out, plane);
}

}  // namespace vista
