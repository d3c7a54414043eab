// Compiled with -mavx512f; called only where the processor has it.
#include <immintrin.h>

#include "image/blake2b_tables.h"
#include "image/blake2b_tree.h"

namespace vista::avx512 {
namespace {

typedef std::uint64_t Words __attribute__((vector_size(64)));
constexpr int kLanes = 8;

// The unmasked forms of these intrinsics make GCC 12 warn of an uninitialised value in its own
// header.
constexpr __mmask8 kAll = 0xFF;

template <int kBits>
inline Words Rotated(Words words) {
  return (Words)_mm512_maskz_ror_epi64(kAll, (__m512i)words, kBits);
}

// Parts of 128 bits of two vectors, as by _mm512_shuffle_i64x2.
template <int kParts>
inline __m512i Parts(__m512i one, __m512i other) {
  return _mm512_maskz_shuffle_i64x2(kAll, one, other, kParts);
}

inline void Transpose(Words* rows) {
  __m512i pairs[8];  // of words that lie in two rows one below the other
  for (int i = 0; i < 8; i += 2) {
    pairs[i] = _mm512_maskz_unpacklo_epi64(kAll, (__m512i)rows[i], (__m512i)rows[i + 1]);
    pairs[i + 1] = _mm512_maskz_unpackhi_epi64(kAll, (__m512i)rows[i], (__m512i)rows[i + 1]);
  }
  for (int odd = 0; odd < 2; ++odd) {
    const __m512i upper_left = Parts<0x88>(pairs[odd], pairs[odd + 2]);
    const __m512i upper_right = Parts<0xDD>(pairs[odd], pairs[odd + 2]);
    const __m512i lower_left = Parts<0x88>(pairs[odd + 4], pairs[odd + 6]);
    const __m512i lower_right = Parts<0xDD>(pairs[odd + 4], pairs[odd + 6]);
    rows[odd] = (Words)Parts<0x88>(upper_left, lower_left);
    rows[odd + 2] = (Words)Parts<0x88>(upper_right, lower_right);
    rows[odd + 4] = (Words)Parts<0xDD>(upper_left, lower_left);
    rows[odd + 6] = (Words)Parts<0xDD>(upper_right, lower_right);
  }
}

#include "image/blake2b_leaves.inc"

}  // namespace

const LeafKernel kLeaves = {"avx512", kLanes, HashLeaves};

}  // namespace vista::avx512
