// Compiled with -mavx512f -mavx512bw -mavx512vl; called only where the processor has them.
#include <immintrin.h>

#include "image/resample_kernels.h"

namespace vista::avx512 {
namespace {

// The unmasked forms of these intrinsics make GCC 12 warn of an uninitialised value in its own
// header.
constexpr __mmask16 kAll = 0xFFFF;

typedef std::int32_t Ints __attribute__((vector_size(64)));

inline Ints Load(const std::uint8_t* from) {
  return (Ints)_mm512_maskz_cvtepu8_epi32(kAll,
                                          _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}

inline void Store(Ints values, std::uint8_t* to) {
  const __m512i positive = _mm512_maskz_max_epi32(kAll, (__m512i)values, _mm512_setzero_si512());
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_maskz_cvtusepi32_epi8(kAll, positive));
}

#include "image/resample_kernels.inc"

}  // namespace

const ResampleKernels kKernels = {"avx512", Vertical, Horizontal, nullptr, nullptr, nullptr};

}  // namespace vista::avx512
