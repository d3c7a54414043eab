// Turning rows of bytes into columns and back, kLanes rows at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "image/resample_kernels.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace vista {

// Transposes a block of 16 x 16 bytes.
inline void TransposeBlock(const std::uint8_t* const* from, std::uint8_t* const* to) {
  static_assert(kLanes == 16);
#if defined(__SSE2__)
  __m128i a[16];
  __m128i b[16];
  for (int i = 0; i < 16; ++i) a[i] = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from[i]));
  // Interleaving rows i and i + 8 is one step of a perfect shuffle of the 256 bytes; four steps
  // swap row and column.
  const auto shuffle = [](const __m128i* x, __m128i* y) {
    for (int i = 0; i < 8; ++i) {
      y[2 * i] = _mm_unpacklo_epi8(x[i], x[i + 8]);
      y[2 * i + 1] = _mm_unpackhi_epi8(x[i], x[i + 8]);
    }
  };
  shuffle(a, b);
  shuffle(b, a);
  shuffle(a, b);
  shuffle(b, a);
  for (int i = 0; i < 16; ++i) _mm_storeu_si128(reinterpret_cast<__m128i*>(to[i]), a[i]);
#else
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 16; ++j) to[j][i] = from[i][j];
  }
#endif
}

// columns[b][i] = rows[i][b] for b below `bytes`; columns has room for `bytes` rounded up to a
// multiple of kLanes.
inline void RowsToColumns(const std::uint8_t* const (&rows)[kLanes], int bytes,
                          std::uint8_t* columns) {
  const std::uint8_t* from[kLanes];
  std::uint8_t* to[kLanes];
  std::uint8_t rest[kLanes][kLanes] = {};
  for (int b = 0; b < bytes; b += kLanes) {
    const bool whole = b + kLanes <= bytes;
    for (int i = 0; i < kLanes; ++i) {
      if (!whole) std::memcpy(rest[i], rows[i] + b, static_cast<std::size_t>(bytes - b));
      from[i] = whole ? rows[i] + b : rest[i];
      to[i] = columns + static_cast<std::ptrdiff_t>(b + i) * kLanes;
    }
    TransposeBlock(from, to);
  }
}

// rows[i][b] = columns[b][i] for b below `bytes` and i below `count`.
inline void ColumnsToRows(const std::uint8_t* columns, int bytes, int count,
                          std::uint8_t* const* rows) {
  const std::uint8_t* from[kLanes];
  std::uint8_t* to[kLanes];
  std::uint8_t rest[kLanes][kLanes];
  for (int b = 0; b < bytes; b += kLanes) {
    const bool whole = b + kLanes <= bytes;
    for (int i = 0; i < kLanes; ++i) {
      from[i] = columns + static_cast<std::ptrdiff_t>(b + i) * kLanes;
      to[i] = whole && i < count ? rows[i] + b : rest[i];
    }
    TransposeBlock(from, to);
    if (whole) continue;
    for (int i = 0; i < count; ++i)
      std::memcpy(rows[i] + b, rest[i], static_cast<std::size_t>(bytes - b));
  }
}

}  // namespace vista
