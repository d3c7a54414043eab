#include "image/resample_kernels.h"

namespace vista {

std::vector<const ResampleKernels*> UsableResampleKernels() {
  std::vector<const ResampleKernels*> usable = {&generic::kKernels};
#ifdef VISTA_X86_KERNELS
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2")) usable.push_back(&avx2::kKernels);
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl")) {
    usable.push_back(&avx512::kKernels);
    if (__builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni"))
      usable.push_back(&vnni::kKernels);
  }
#endif
  return usable;
}

const ResampleKernels& BestResampleKernels() {
  static const ResampleKernels& best = *UsableResampleKernels().back();
  return best;
}

}  // namespace vista
