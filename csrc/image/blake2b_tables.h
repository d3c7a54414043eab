// The constants of BLAKE2b.
#pragma once

#include <cstdint>

namespace vista::blake2b {

// RFC 7693 section 2.6: the fractional parts of the square roots of the first eight primes.
inline constexpr std::uint64_t kInitial[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

// RFC 7693 section 2.7: the message schedule; rounds 10 and 11 repeat rows 0 and 1.
inline constexpr std::uint8_t kSchedule[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

// The first word of the state takes these of a node's parameters; see BLAKE2's section 2.5.
inline constexpr std::uint64_t FirstParameters(std::uint64_t digest_bytes, std::uint64_t fanout,
                                               std::uint64_t depth, std::uint64_t leaf_bytes) {
  return digest_bytes | fanout << 16 | depth << 24 | leaf_bytes << 32;
}

// The third word takes these.
inline constexpr std::uint64_t LevelParameters(std::uint64_t level, std::uint64_t inner_bytes) {
  return level | inner_bytes << 8;
}

}  // namespace vista::blake2b
