// Parts of one memory that nobody may touch now: the address sanitizer reports who does.
#pragma once

#include <cstddef>

// GCC says by a macro that the address sanitizer is there, clang by a feature.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VISTA_ADDRESS_SANITIZER
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define VISTA_ADDRESS_SANITIZER
#endif

#ifdef VISTA_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace vista {

inline void Poison([[maybe_unused]] const void* begin, [[maybe_unused]] std::size_t bytes) {
#ifdef VISTA_ADDRESS_SANITIZER
  __asan_poison_memory_region(begin, bytes);
#endif
}

inline void Unpoison([[maybe_unused]] const void* begin, [[maybe_unused]] std::size_t bytes) {
#ifdef VISTA_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(begin, bytes);
#endif
}

}  // namespace vista
