#include "image/resample_kernels.h"

namespace vista {

const ResampleKernels& BestResampleKernels() {
#ifdef VISTA_X86_KERNELS
  static const ResampleKernels& best = [&]() -> const ResampleKernels& {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl")) {
      return avx512::kKernels;
    }
    return __builtin_cpu_supports("avx2") ? avx2::kKernels : generic::kKernels;
  }();
  return best;
#else
  return generic::kKernels;
#endif
}

}  // namespace vista
