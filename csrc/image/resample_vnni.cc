// Compiled with AVX-512's F, BW, VL, VBMI and VNNI; called only where the processor has them.
// Products of bytes: a weight is three signed digits to the base 256, each of which meets the
// pixels in an exact sum of its own; the three sums are put together at the end.
#include <immintrin.h>

#include "image/resample_kernels.h"

namespace vista::vnni {
namespace {

constexpr int kDigits = 3;
constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);
// Groups of four taps that a vertical call packs on its stack.
constexpr int kMostGroups = 128;
constexpr __mmask16 kAll = 0xFFFF;

// Three running sums of 16 lanes, one per digit.
struct Sums {
  __m512i digit[kDigits] = {_mm512_set1_epi32(kHalf), _mm512_setzero_si512(),
                            _mm512_setzero_si512()};

  void Add(__m512i bytes, const __m512i (&weights)[kDigits]) {
    for (int d = 0; d < kDigits; ++d) digit[d] = _mm512_dpbusd_epi32(digit[d], bytes, weights[d]);
  }

  // The weighed sums, rounded but not clipped.
  [[nodiscard]] __m512i Whole() const {
    const __m512i upper = _mm512_add_epi32(_mm512_maskz_slli_epi32(kAll, digit[2], 8), digit[1]);
    const __m512i all = _mm512_add_epi32(_mm512_maskz_slli_epi32(kAll, upper, 8), digit[0]);
    return _mm512_maskz_srai_epi32(kAll, all, kWeightBits);
  }
};

// In each quarter the 4 bytes of a, those of b, c and d, clipped to 0..255.
inline __m512i Clip(const Sums& a, const Sums& b, const Sums& c, const Sums& d) {
  return _mm512_packus_epi16(_mm512_packs_epi32(a.Whole(), b.Whole()),
                             _mm512_packs_epi32(c.Whole(), d.Whole()));
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

inline __m512i WeighRows(const Group* groups, int count, std::size_t at, __mmask64 mask) {
  Sums sums[4];
  for (int g = 0; g < count; ++g) {
    const Group& group = groups[g];
    __m512i row[4];
    for (int k = 0; k < 4; ++k) row[k] = _mm512_maskz_loadu_epi8(mask, group.rows[k] + at);
    const __m512i low01 = _mm512_unpacklo_epi8(row[0], row[1]);
    const __m512i high01 = _mm512_unpackhi_epi8(row[0], row[1]);
    const __m512i low23 = _mm512_unpacklo_epi8(row[2], row[3]);
    const __m512i high23 = _mm512_unpackhi_epi8(row[2], row[3]);
    __m512i weights[kDigits];
    for (int d = 0; d < kDigits; ++d) weights[d] = _mm512_set1_epi32(group.digits[d]);
    sums[0].Add(_mm512_unpacklo_epi16(low01, low23), weights);
    sums[1].Add(_mm512_unpackhi_epi16(low01, low23), weights);
    sums[2].Add(_mm512_unpacklo_epi16(high01, high23), weights);
    sums[3].Add(_mm512_unpackhi_epi16(high01, high23), weights);
  }
  return Clip(sums[0], sums[1], sums[2], sums[3]);
}

void Vertical(const std::uint8_t* const* rows, const std::int32_t* weights, int taps,
              std::size_t bytes, std::uint8_t* out) {
  Group groups[kMostGroups];
  int count = 0;
  bool fits = taps <= 4 * kMostGroups;
  for (int k = 0; fits && k < taps; k += 4, ++count)
    fits = Pack(rows + k, weights + k, taps - k, &groups[count]);
  if (!fits) return avx512::kKernels.vertical(rows, weights, taps, bytes, out);
  constexpr __mmask64 kWhole = ~__mmask64{0};
  std::size_t i = 0;
  for (; i + 64 <= bytes; i += 64)
    _mm512_storeu_si512(out + i, WeighRows(groups, count, i, kWhole));
  if (i == bytes) return;
  const __mmask64 rest = kWhole >> (64 - (bytes - i));
  _mm512_mask_storeu_epi8(out + i, rest, WeighRows(groups, count, i, rest));
}

// For weights that do not fit three digits.
void Horizontal(const std::uint8_t* columns, int origin, const Taps& taps, int outputs,
                std::uint8_t* out) {
  avx512::kKernels.horizontal(columns, origin, taps, outputs, out);
}

inline __mmask64 MaskOf(int bytes) {
  return bytes >= 64 ? ~__mmask64{0} : bytes <= 0 ? 0 : ~__mmask64{0} >> (64 - bytes);
}

// One step of kPackedRows rows; 16 bytes of each, of which the last may be meaningless.
template <bool kAtEnd>
inline __m512i Step(const std::uint8_t* const* rows, const PackedTaps& taps, int step) {
  const __m512i gather = _mm512_loadu_si512(taps.gather + 64 * static_cast<std::ptrdiff_t>(step));
  const std::int8_t* digits =
      taps.digits + static_cast<std::ptrdiff_t>(step) * taps.groups * (kDigits * 64);
  int at = taps.offset[step];
  Sums sums[kPackedRows];
  for (int g = 0; g < taps.groups; ++g, at += 12, digits += kDigits * 64) {
    __m512i weights[kDigits];
    for (int d = 0; d < kDigits; ++d) weights[d] = _mm512_loadu_si512(digits + 64 * d);
    for (int r = 0; r < kPackedRows; ++r) {
      const __m512i window =
          kAtEnd ? _mm512_maskz_loadu_epi8(MaskOf(taps.input_bytes - at), rows[r] + at)
                 : _mm512_loadu_si512(rows[r] + at);
      sums[r].Add(_mm512_maskz_permutexvar_epi8(~__mmask64{0}, gather, window), weights);
    }
  }
  // Quarters hold 4 bytes of each row; bring those of one row together.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_maskz_permutexvar_epi32(kAll, order, Clip(sums[0], sums[1], sums[2], sums[3]));
}

void Packed(const std::uint8_t* const* rows, const PackedTaps& taps, std::uint8_t* const* out) {
  static_assert(kPackedRows == 4);
  const int reach = 64 + 12 * (taps.groups - 1);
  const int stride = 3 * taps.pixels;
  for (int step = 0, to = 0; step < taps.steps; ++step, to += stride) {
    const __m512i bytes = taps.offset[step] + reach <= taps.input_bytes
                              ? Step<false>(rows, taps, step)
                              : Step<true>(rows, taps, step);
    const __m128i row[kPackedRows] = {_mm512_castsi512_si128(bytes),
                                      _mm512_maskz_extracti32x4_epi32(0xF, bytes, 1),
                                      _mm512_maskz_extracti32x4_epi32(0xF, bytes, 2),
                                      _mm512_maskz_extracti32x4_epi32(0xF, bytes, 3)};
    // What a step writes beyond its own pixels, the next one overwrites.
    if (to + 16 <= taps.output_bytes) {
      for (int r = 0; r < kPackedRows; ++r)
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out[r] + to), row[r]);
    } else {
      const auto mask = static_cast<__mmask16>((1u << (taps.output_bytes - to)) - 1);
      for (int r = 0; r < kPackedRows; ++r) _mm_mask_storeu_epi8(out[r] + to, mask, row[r]);
    }
  }
}

}  // namespace

const ResampleKernels kKernels = {"vnni", Vertical, Horizontal, Packed};

}  // namespace vista::vnni
