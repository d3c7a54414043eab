#include "nn/kernels.h"

#ifdef VISTA_X86_KERNELS
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace vista::nn {

#ifdef VISTA_X86_KERNELS
namespace {

bool HasAvx512Bf16() {
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bf16");
}

// Linux lends the tiles to processes that ask for them.
bool HasAmx() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  constexpr unsigned kBf16 = 1U << 22, kTiles = 1U << 24;
  if ((edx & kBf16) == 0 || (edx & kTiles) == 0) return false;
  constexpr int kAskPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kAskPermission, kTileData) == 0;
}

}  // namespace

int UsableKernels(const Kernels* (&usable)[2]) {
  static const bool has_avx512 = HasAvx512Bf16();
  static const bool has_amx = has_avx512 && HasAmx();
  int count = 0;
  if (has_avx512) usable[count++] = &avx512::kKernels;
  if (has_amx) usable[count++] = &amx::kKernels;
  return count;
}
#else
int UsableKernels(const Kernels* (& /*usable*/)[2]) { return 0; }
#endif

}  // namespace vista::nn
