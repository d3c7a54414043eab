// Compiled with -mavx2; called only where the processor has it.
#include <immintrin.h>

#include "image/resample_kernels.h"

namespace vista::avx2 {
namespace {

typedef std::int32_t Ints __attribute__((vector_size(32)));

inline Ints Load(const std::uint8_t* from) {
  return (Ints)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
}

inline void Store(Ints values, std::uint8_t* to) {
  const __m256i all = (__m256i)values;
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(words, words));
}

#include "image/resample_kernels.inc"

}  // namespace

const ResampleKernels kKernels = {"avx2", Vertical, Horizontal, nullptr, nullptr, nullptr};

}  // namespace vista::avx2
