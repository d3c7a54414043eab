// BLAKE2b in its tree mode, for long messages: leaves of one length are hashed side by side in the
// lanes of vectors, and a root over their digests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "image/blake2b.h"

namespace vista {

// No power of two: leaves that lie next to each other and are read together would then meet in the
// same few lines of a cache.
inline constexpr std::size_t kLeafBytes = 65 * 128;
// Of a leaf's digest.
inline constexpr std::size_t kInnerBytes = 32;

// The digest of the root, whose message is `head` and then the digests of the leaves (fan-out 0,
// depth 2, kLeafBytes and kInnerBytes as parameters; only the last leaf may be shorter).
Blake2b128::Digest TreeHash(std::string_view head, std::span<const std::uint8_t> message);

struct LeafKernel {
  const char* name;  // "generic", "avx2" or "avx512"
  std::size_t lanes;
  // Hashes `lanes` whole leaves, of which none is the last, that lie one after the other from
  // `data`; the first has that offset. Writes lanes * kInnerBytes.
  void (*hash)(const std::uint8_t* data, std::uint64_t offset, std::uint8_t* digests);
};

// Those that this processor runs, slowest first; "generic" is always there and has one lane.
std::vector<const LeafKernel*> UsableLeafKernels();

// The same by these, which are ordered as above; no bit depends on which.
Blake2b128::Digest TreeHash(std::string_view head, std::span<const std::uint8_t> message,
                            std::span<const LeafKernel* const> kernels);

namespace generic {
extern const LeafKernel kLeaves;
}
namespace avx2 {
extern const LeafKernel kLeaves;
}
namespace avx512 {
extern const LeafKernel kLeaves;
}

}  // namespace vista
