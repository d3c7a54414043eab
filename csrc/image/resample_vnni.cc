// Compiled with AVX-512's F, BW, VL, VBMI and VNNI; called only where the processor has them.
// Products of bytes: a weight is three signed digits to the base 256, each of which meets the
// pixels in an exact sum of its own; the three sums are put together at the end.
#include <immintrin.h>

#include "image/resample_kernels.h"

// What each step of a loop does: a call would hand its vectors over in memory.
#define VISTA_INLINE inline __attribute__((always_inline))

namespace vista::vnni {
namespace {

constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);
// Groups of four taps that a vertical call packs on its stack.
constexpr int kMostGroups = 128;
constexpr __mmask16 kAll = 0xFFFF;

// With so many groups of taps or fewer, what they weigh stays in registers.
constexpr int kMostHeld = 4;

// The weighed sums, rounded but not clipped.
inline __m512i Rounded(__m512i sum) { return _mm512_maskz_srai_epi32(kAll, sum, kWeightBits); }

inline __m512i NextDigit(__m512i sum) { return _mm512_maskz_slli_epi32(kAll, sum, 8); }

// In each quarter the 4 bytes of a, those of b, c and d, clipped to 0..255.
VISTA_INLINE __m512i Clip(__m512i a, __m512i b, __m512i c, __m512i d) {
  return _mm512_packus_epi16(_mm512_packs_epi32(Rounded(a), Rounded(b)),
                             _mm512_packs_epi32(Rounded(c), Rounded(d)));
}

// Weighs four vectors of bytes in each of `kGroups` groups of taps: `bytes(g, v)` and
// `weights(g, digit)` give them. Digits are summed up from the highest, so that one register holds
// a sum.
template <int kGroups, typename Bytes, typename Weights>
VISTA_INLINE __m512i WeighHeld(const Bytes& bytes, const Weights& weights) {
  __m512i held[kGroups][4];
  for (int g = 0; g < kGroups; ++g) {
    for (int v = 0; v < 4; ++v) held[g][v] = bytes(g, v);
  }
  __m512i sums[4];
  for (__m512i& sum : sums) sum = _mm512_set1_epi32(kHalf >> 16);
  for (int d = kDigits - 1; d >= 0; --d) {
    for (int g = 0; g < kGroups; ++g) {
      const __m512i weight = weights(g, d);
      for (int v = 0; v < 4; ++v) sums[v] = _mm512_dpbusd_epi32(sums[v], held[g][v], weight);
    }
    if (d > 0) {
      for (__m512i& sum : sums) sum = NextDigit(sum);
    }
  }
  return Clip(sums[0], sums[1], sums[2], sums[3]);
}

// The same for any number of groups, each looked at once.
template <typename Bytes, typename Weights>
VISTA_INLINE __m512i WeighAny(int groups, const Bytes& bytes, const Weights& weights) {
  __m512i sums[kDigits][4];
  for (int v = 0; v < 4; ++v) {
    sums[0][v] = _mm512_set1_epi32(kHalf);
    for (int d = 1; d < kDigits; ++d) sums[d][v] = _mm512_setzero_si512();
  }
  for (int g = 0; g < groups; ++g) {
    for (int v = 0; v < 4; ++v) {
      const __m512i held = bytes(g, v);
      for (int d = 0; d < kDigits; ++d)
        sums[d][v] = _mm512_dpbusd_epi32(sums[d][v], held, weights(g, d));
    }
  }
  __m512i whole[4];
  for (int v = 0; v < 4; ++v) {
    const __m512i upper = _mm512_add_epi32(NextDigit(sums[2][v]), sums[1][v]);
    whole[v] = _mm512_add_epi32(NextDigit(upper), sums[0][v]);
  }
  return Clip(whole[0], whole[1], whole[2], whole[3]);
}

// kGroups = 0 stands for any number.
inline int Held(int groups) { return groups <= kMostHeld ? groups : 0; }

template <int kGroups, typename Bytes, typename Weights>
VISTA_INLINE __m512i Weigh(int groups, const Bytes& bytes, const Weights& weights) {
  if constexpr (kGroups > 0) {
    return WeighHeld<kGroups>(bytes, weights);
  } else {
    return WeighAny(groups, bytes, weights);
  }
}

struct Group {
  const std::uint8_t* rows[4];
  std::int32_t digits[kDigits];  // four signed bytes each
};

// False when a weight does not fit three digits.
inline bool Pack(const std::uint8_t* const* rows, const std::int32_t* weights, int taps,
                 Group* group) {
  std::uint32_t digits[kDigits] = {};
  bool fits = true;
  for (int k = 0; k < 4; ++k) {
    group->rows[k] = rows[k < taps ? k : taps - 1];
    std::int32_t rest = k < taps ? weights[k] : 0;
    for (int d = 0; d < kDigits; ++d) {
      const auto digit = static_cast<std::int8_t>(rest);
      digits[d] |= static_cast<std::uint32_t>(static_cast<std::uint8_t>(digit)) << (8 * k);
      rest = (rest - digit) >> 8;
    }
    fits = fits && rest == 0;
  }
  for (int d = 0; d < kDigits; ++d) group->digits[d] = static_cast<std::int32_t>(digits[d]);
  return fits;
}

template <int kGroups>
VISTA_INLINE __m512i WeighRows(const Group* groups, int count, std::size_t at, __mmask64 mask) {
  // Four bytes of a column side by side: of each quarter's first four columns, then of the others.
  __m512i quads[4];
  int loaded = -1;
  const auto bytes = [&](int g, int v) {
    if (loaded != g) {
      loaded = g;
      __m512i row[4];
      for (int k = 0; k < 4; ++k) row[k] = _mm512_maskz_loadu_epi8(mask, groups[g].rows[k] + at);
      const __m512i low01 = _mm512_unpacklo_epi8(row[0], row[1]);
      const __m512i high01 = _mm512_unpackhi_epi8(row[0], row[1]);
      const __m512i low23 = _mm512_unpacklo_epi8(row[2], row[3]);
      const __m512i high23 = _mm512_unpackhi_epi8(row[2], row[3]);
      quads[0] = _mm512_unpacklo_epi16(low01, low23);
      quads[1] = _mm512_unpackhi_epi16(low01, low23);
      quads[2] = _mm512_unpacklo_epi16(high01, high23);
      quads[3] = _mm512_unpackhi_epi16(high01, high23);
    }
    return quads[v];
  };
  const auto weights = [&](int g, int d) { return _mm512_set1_epi32(groups[g].digits[d]); };
  return Weigh<kGroups>(count, bytes, weights);
}

template <int kGroups>
void WeighAllRows(const Group* groups, int count, std::size_t bytes, std::uint8_t* out) {
  constexpr __mmask64 kWhole = ~__mmask64{0};
  std::size_t i = 0;
  for (; i + 64 <= bytes; i += 64)
    _mm512_storeu_si512(out + i, WeighRows<kGroups>(groups, count, i, kWhole));
  if (i == bytes) return;
  const __mmask64 rest = kWhole >> (64 - (bytes - i));
  _mm512_mask_storeu_epi8(out + i, rest, WeighRows<kGroups>(groups, count, i, rest));
}

void Vertical(const std::uint8_t* const* rows, const std::int32_t* weights, int taps,
              std::size_t bytes, std::uint8_t* out) {
  Group groups[kMostGroups];
  int count = 0;
  bool fits = taps <= 4 * kMostGroups;
  for (int k = 0; fits && k < taps; k += 4, ++count)
    fits = Pack(rows + k, weights + k, taps - k, &groups[count]);
  if (!fits) return avx512::kKernels.vertical(rows, weights, taps, bytes, out);
  constexpr decltype(&WeighAllRows<0>) kLoops[] = {
      WeighAllRows<0>, WeighAllRows<1>, WeighAllRows<2>, WeighAllRows<3>, WeighAllRows<4>};
  kLoops[Held(count)](groups, count, bytes, out);
}

// For weights that do not fit three digits.
void Horizontal(const std::uint8_t* columns, int origin, const Taps& taps, int outputs,
                std::uint8_t* out) {
  avx512::kKernels.horizontal(columns, origin, taps, outputs, out);
}

inline __mmask64 MaskOf(int bytes) {
  return bytes >= 64 ? ~__mmask64{0} : bytes <= 0 ? 0 : ~__mmask64{0} >> (64 - bytes);
}

// One step of kPackedRows rows, 16 bytes of each, of which the last may be meaningless: quarters
// hold 4 bytes of each row.
template <int kGroups, bool kAtEnd>
VISTA_INLINE __m512i Step(const std::uint8_t* const* rows, const PackedTaps& taps, int step) {
  const __m512i gather = _mm512_loadu_si512(taps.gather + 64 * static_cast<std::ptrdiff_t>(step));
  const std::int8_t* digits =
      taps.digits + static_cast<std::ptrdiff_t>(step) * taps.groups * (kDigits * 64);
  const int start = taps.offset[step];
  const auto bytes = [&](int g, int r) {
    const int at = start + 12 * g;
    const __m512i window =
        kAtEnd ? _mm512_maskz_loadu_epi8(MaskOf(taps.input_bytes - at), rows[r] + at)
               : _mm512_loadu_si512(rows[r] + at);
    return _mm512_maskz_permutexvar_epi8(~__mmask64{0}, gather, window);
  };
  const auto weights = [&](int g, int d) {
    return _mm512_loadu_si512(digits + 64 * (kDigits * g + d));
  };
  return Weigh<kGroups>(taps.groups, bytes, weights);
}

// Calls `store(byte, bytes)` for each step: where its output begins in a row, and what it makes,
// of which the next step overwrites what is not its own.
template <int kGroups, typename Store>
VISTA_INLINE void ForEachStep(const std::uint8_t* const* rows, const PackedTaps& taps,
                              const Store& store) {
  static_assert(kPackedRows == 4);
  const int reach = 64 + 12 * (taps.groups - 1);
  const int stride = 3 * taps.pixels;
  for (int step = 0, to = 0; step < taps.steps; ++step, to += stride) {
    store(to, taps.offset[step] + reach <= taps.input_bytes
                  ? Step<kGroups, false>(rows, taps, step)
                  : Step<kGroups, true>(rows, taps, step));
  }
}

// The first, second, ... four bytes of all quarters one after the other.
inline __m512i GatherFours(__m512i bytes) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_maskz_permutexvar_epi32(kAll, order, bytes);
}

template <int kGroups>
void PackedRows(const std::uint8_t* const* rows, const PackedTaps& taps, std::uint8_t* const* out) {
  ForEachStep<kGroups>(rows, taps, [&](int to, __m512i stepped) {
    const __m512i bytes = GatherFours(stepped);
    const __m128i row[kPackedRows] = {_mm512_castsi512_si128(bytes),
                                      _mm512_maskz_extracti32x4_epi32(0xF, bytes, 1),
                                      _mm512_maskz_extracti32x4_epi32(0xF, bytes, 2),
                                      _mm512_maskz_extracti32x4_epi32(0xF, bytes, 3)};
    if (to + 16 <= taps.output_bytes) {
      for (int r = 0; r < kPackedRows; ++r)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out[r] + to), row[r]);
    } else {
      const auto mask = static_cast<__mmask16>((1u << (taps.output_bytes - to)) - 1);
      for (int r = 0; r < kPackedRows; ++r) _mm_mask_storeu_epi8(out[r] + to, mask, row[r]);
    }
  });
}

void Packed(const std::uint8_t* const* rows, const PackedTaps& taps, std::uint8_t* const* out) {
  constexpr decltype(&PackedRows<0>) kLoops[] = {PackedRows<0>, PackedRows<1>, PackedRows<2>,
                                                 PackedRows<3>, PackedRows<4>};
  kLoops[Held(taps.groups)](rows, taps, out);
}

template <int kGroups>
void PackedRowsOfQuad(const std::uint8_t* const* rows, const PackedTaps& taps, std::uint8_t* quad) {
  // In each quarter, from four bytes of each row to the four rows' bytes side by side.
  const __m512i order = _mm512_maskz_broadcast_i32x4(
      kAll, _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  ForEachStep<kGroups>(rows, taps, [&](int to, __m512i bytes) {
    _mm512_storeu_si512(quad + 4 * static_cast<std::ptrdiff_t>(to),
                        _mm512_maskz_shuffle_epi8(~__mmask64{0}, bytes, order));
  });
}

void PackedQuad(const std::uint8_t* const* rows, const PackedTaps& taps, std::uint8_t* quad) {
  constexpr decltype(&PackedRowsOfQuad<0>) kLoops[] = {PackedRowsOfQuad<0>, PackedRowsOfQuad<1>,
                                                       PackedRowsOfQuad<2>, PackedRowsOfQuad<3>,
                                                       PackedRowsOfQuad<4>};
  kLoops[Held(taps.groups)](rows, taps, quad);
}

template <int kGroups>
void WeighQuads(const std::uint8_t* const* quads, const std::int32_t* digits, int count,
                std::size_t size, std::uint8_t* out) {
  // Loaded once: to the compiler the output might overwrite them.
  __m512i held[kGroups > 0 ? kGroups : 1][kDigits];
  for (int g = 0; g < kGroups; ++g) {
    for (int d = 0; d < kDigits; ++d) held[g][d] = _mm512_set1_epi32(digits[kDigits * g + d]);
  }
  const auto weights = [&](int g, int d) {
    if constexpr (kGroups > 0) return held[g][d];
    return _mm512_set1_epi32(digits[kDigits * g + d]);
  };
  for (std::size_t i = 0; i < size; i += 64) {
    const auto bytes = [&](int g, int v) {
      return _mm512_loadu_si512(quads[g] + 4 * i + 64 * static_cast<std::size_t>(v));
    };
    const __m512i weighed = GatherFours(Weigh<kGroups>(count, bytes, weights));
    if (i + 64 <= size) {
      _mm512_storeu_si512(out + i, weighed);
    } else {
      _mm512_mask_storeu_epi8(out + i, MaskOf(static_cast<int>(size - i)), weighed);
    }
  }
}

void VerticalQuads(const std::uint8_t* const* quads, const std::int32_t* digits, int count,
                   std::size_t size, std::uint8_t* out) {
  constexpr decltype(&WeighQuads<0>) kLoops[] = {WeighQuads<0>, WeighQuads<1>, WeighQuads<2>,
                                                 WeighQuads<3>, WeighQuads<4>};
  kLoops[Held(count)](quads, digits, count, size, out);
}

}  // namespace

const ResampleKernels kKernels = {"vnni", Vertical, Horizontal, Packed, PackedQuad, VerticalQuads};

}  // namespace vista::vnni
