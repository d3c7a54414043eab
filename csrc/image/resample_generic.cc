// Four lanes, which every processor has in one form or other.
#include "image/resample_kernels.h"

namespace vista::generic {
namespace {

typedef std::int32_t Ints __attribute__((vector_size(16)));

inline Ints Load(const std::uint8_t* from) { return Ints{from[0], from[1], from[2], from[3]}; }

inline void Store(Ints values, std::uint8_t* to) {
  for (int i = 0; i < 4; ++i)
    to[i] = static_cast<std::uint8_t>(values[i] < 0 ? 0 : values[i] > 255 ? 255 : values[i]);
}

#include "image/resample_kernels.inc"

}  // namespace

const ResampleKernels kKernels = {"generic", Vertical, Horizontal, nullptr, nullptr, nullptr};

}  // namespace vista::generic
