#include "image/pack.h"

#include <cstring>

#ifdef VISTA_X86_KERNELS
#include <immintrin.h>
#endif

namespace vista {
namespace {

void PackGeneric(const std::uint8_t* from, std::size_t pixels, std::uint8_t* to) {
  for (std::size_t i = 0; i < pixels; ++i, from += 4, to += 3) std::memcpy(to, from, 3);
}

constexpr PackKernel kGeneric = {"generic", PackGeneric};

#ifdef VISTA_X86_KERNELS
__attribute__((target("ssse3"))) void PackSsse3(const std::uint8_t* from, std::size_t pixels,
                                                std::uint8_t* to) {
  const __m128i colours = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  std::size_t i = 0;
  // Sixteen bytes are stored for twelve that count, so the last few pixels are left for the end.
  for (; i + 6 <= pixels; i += 4, from += 16, to += 12) {
    const __m128i four = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm_shuffle_epi8(four, colours));
  }
  PackGeneric(from, pixels - i, to);
}

constexpr PackKernel kSsse3 = {"ssse3", PackSsse3};
#endif

}  // namespace

std::vector<const PackKernel*> UsablePackKernels() {
  std::vector<const PackKernel*> usable = {&kGeneric};
#ifdef VISTA_X86_KERNELS
  __builtin_cpu_init();
  if (__builtin_cpu_supports("ssse3")) usable.push_back(&kSsse3);
#endif
  return usable;
}

void PackRgb(const std::uint8_t* from, std::size_t pixels, std::uint8_t* to) {
  static const PackKernel& best = *UsablePackKernels().back();
  best.pack(from, pixels, to);
}

}  // namespace vista
