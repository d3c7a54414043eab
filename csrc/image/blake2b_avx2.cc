// Compiled with -mavx2; called only where the processor has it.
#include <immintrin.h>

#include "image/blake2b_tables.h"
#include "image/blake2b_tree.h"

namespace vista::avx2 {
namespace {

typedef std::uint64_t Words __attribute__((vector_size(32)));
constexpr int kLanes = 4;

template <int kBits>
inline Words Rotated(Words words) {
  const auto all = (__m256i)words;
  if constexpr (kBits == 32) return (Words)_mm256_shuffle_epi32(all, 0xB1);
  if constexpr (kBits == 24 || kBits == 16) {
    constexpr char kBy = kBits / 8;
    const __m128i bytes =
        _mm_setr_epi8(kBy, kBy + 1, kBy + 2, kBy + 3, kBy + 4, (kBy + 5) % 8, (kBy + 6) % 8,
                      (kBy + 7) % 8, kBy + 8, kBy + 9, kBy + 10, kBy + 11, kBy + 12,
                      (kBy + 5) % 8 + 8, (kBy + 6) % 8 + 8, (kBy + 7) % 8 + 8);
    return (Words)_mm256_shuffle_epi8(all, _mm256_broadcastsi128_si256(bytes));
  }
  return words >> kBits | words << (64 - kBits);
}

inline void Transpose(Words* rows) {
  const auto a = (__m256i)rows[0], b = (__m256i)rows[1], c = (__m256i)rows[2], d = (__m256i)rows[3];
  const __m256i ab_even = _mm256_unpacklo_epi64(a, b), ab_odd = _mm256_unpackhi_epi64(a, b);
  const __m256i cd_even = _mm256_unpacklo_epi64(c, d), cd_odd = _mm256_unpackhi_epi64(c, d);
  rows[0] = (Words)_mm256_permute2x128_si256(ab_even, cd_even, 0x20);
  rows[1] = (Words)_mm256_permute2x128_si256(ab_odd, cd_odd, 0x20);
  rows[2] = (Words)_mm256_permute2x128_si256(ab_even, cd_even, 0x31);
  rows[3] = (Words)_mm256_permute2x128_si256(ab_odd, cd_odd, 0x31);
}

#include "image/blake2b_leaves.inc"

}  // namespace

const LeafKernel kLeaves = {"avx2", kLanes, HashLeaves};

}  // namespace vista::avx2
