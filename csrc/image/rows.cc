#include "image/rows.h"

#include <bit>
#include <cstring>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace vista {

void CopyRows(const float* from, std::size_t count, float* to) {
#ifdef __SSE2__
  if (count % 4 == 0 && reinterpret_cast<std::uintptr_t>(to) % 16 == 0) {
    for (std::size_t i = 0; i < count; i += 4) _mm_stream_ps(to + i, _mm_loadu_ps(from + i));
    return;
  }
#endif
  std::memcpy(to, from, count * sizeof(float));
}

void RoundRows(const float* from, std::size_t count, std::uint16_t* to) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto bits = std::bit_cast<std::uint32_t>(from[i]);
    const bool is_nan = (bits & 0x7FFF'FFFF) > 0x7F80'0000;
    const std::uint32_t rounded = bits + 0x7FFF + ((bits >> 16) & 1);
    to[i] = static_cast<std::uint16_t>((is_nan ? bits | 0x0040'0000 : rounded) >> 16);
  }
}

void FinishRows() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

}  // namespace vista
