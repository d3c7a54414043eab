// The samples of a part: warps fetch lines of the image as they lie there, each its own, and later
// turn them into halves by channel. In between they do other things, so that the way from memory
// costs no time. The last warp takes no part: it has the weights along the last axis to do.
#pragma once

#include <cstdint>

#include "cuda/crop_resize_block.h"

namespace vista::cuda {

// Where the samples of a part lie in the image.
struct Source {
  const std::uint8_t* corner;
  int pitch;
  int lines;
  int bytes;   // of each line
  int staged;  // lines, with some that are not there: see Padded
};

// Products go over the last sample into what is multiplied by zero, and has to be a number.
VISTA_DEVICE int Padded(const Part& part) {
  return (part.samples.end - part.samples.begin + kStep - 1) & ~7;
}

VISTA_DEVICE Source SourceOf(const PlannedRow& row, const Part& part, const std::uint8_t* pixels) {
  const int lines = part.lines.end - part.lines.begin;
  const int samples = part.samples.end - part.samples.begin;
  return {pixels + row.first_byte + static_cast<std::int64_t>(part.lines.begin) * row.last.step +
              static_cast<std::int64_t>(part.samples.begin) * row.first.step,
          row.turned ? row.first.step : row.last.step, row.turned ? samples : lines,
          3 * (row.turned ? lines : samples), row.turned ? Padded(part) : lines};
}

inline constexpr int kStagers = kWarps - 1;

// The lines of a warp.
VISTA_DEVICE Reach OwnLines(const Source& source, int warp) {
  const int each = (source.staged + kStagers - 1) / kStagers;
  return {warp * each, warp < kStagers ? Least((warp + 1) * each, source.staged) : 0};
}

// To within a few parts of 2^24, and exact by powers of two.
VISTA_DEVICE float Ratio(float value, float divisor) {
#ifdef __CUDA_ARCH__
  return __fdividef(value, divisor);
#else
  return value / divisor;
#endif
}

// Numbers of things in groups of `each`.
struct Groups {
  int each;
  unsigned reciprocal;  // 2^20 / each, rounded down, and 1 more
};

VISTA_DEVICE Groups GroupsOf(int each) {
  return {each, static_cast<unsigned>(Ratio(1048576, static_cast<float>(each))) + 1};
}

// The group of a number, where number * each stays under 2^20, and number / each under 2^12.
VISTA_DEVICE int GroupOf(int number, const Groups& groups) {
  return static_cast<int>(static_cast<unsigned>(number) * groups.reciprocal >> 20);
}

VISTA_DEVICE const std::uint8_t* Beyond(const std::uint8_t* from, int count, int step) {
#ifdef __CUDA_ARCH__
  // A compiler would multiply in 64 bits.
  const std::uint8_t* to;
  asm("mad.wide.s32 %0, %1, %2, %3;" : "=l"(to) : "r"(count), "r"(step), "l"(from));
  return to;
#else
  return from + static_cast<std::int64_t>(count) * step;
#endif
}

// How far `address` is beyond a multiple of sixteen.
VISTA_DEVICE int Skipped(const std::uint8_t* address) {
  return static_cast<int>(reinterpret_cast<std::uintptr_t>(address) & (sizeof(Chunk) - 1));
}

// Begins to copy sixteen bytes to shared memory, or zeros where those are not `needed`: a branch
// would take longer.
VISTA_DEVICE void Fetch(bool needed, const std::uint8_t* from, std::uint8_t* to) {
#ifdef __CUDA_ARCH__
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                   static_cast<std::uint32_t>(__cvta_generic_to_shared(to))),
               "l"(from), "r"(needed ? 16 : 0)
               : "memory");
#else
  *reinterpret_cast<Chunk*>(to) = needed ? *reinterpret_cast<const Chunk*>(from) : Chunk{};
#endif
}

// For a lane: begins to fetch its share of its warp's lines of a part. No sixteen bytes are read
// that hold none of a line.
VISTA_DEVICE void FetchLines(const PlannedRow& row, const Part& part, const std::uint8_t* pixels,
                             int warp, int lane, const Shared& shared) {
  constexpr int kBytes = sizeof(Chunk);
  const Source source = SourceOf(row, part, pixels);
  const Reach own = OwnLines(source, warp);
  const Groups chunks = GroupsOf((source.bytes + 2 * (kBytes - 1)) / kBytes);
  const int count = (Least(own.end, source.lines) - own.begin) * chunks.each;
  VISTA_NO_UNROLL
  for (int n = lane; n < count; n += kWarp) {
    const int group = GroupOf(n, chunks);
    const int line = own.begin + group;
    const int byte = (n - group * chunks.each) * kBytes;
    const std::uint8_t* const begin = Beyond(source.corner, line, source.pitch);
    const int skipped = Skipped(begin);
    Fetch(byte < skipped + source.bytes, begin + (byte - skipped),
          shared.raw + line * shared.raw_stride + byte);
  }
}

// Until a warp has what it fetched.
VISTA_DEVICE void AwaitLines() {
#ifdef __CUDA_ARCH__
  asm volatile("cp.async.wait_all;" ::: "memory");
  __syncwarp();
#endif
}

// Neighbouring pixels that are staged together.
inline constexpr int kUnit = 8;

// As pairs of halves by channel.
struct Unit {
  std::uint32_t of[3][kUnit / 2];
};

VISTA_DEVICE std::uint32_t Chosen(std::uint32_t low, std::uint32_t high, std::uint32_t bytes) {
#ifdef __CUDA_ARCH__
  return __byte_perm(low, high, bytes);
#else
  const std::uint64_t both = low | std::uint64_t{high} << 32;
  std::uint32_t chosen = 0;
  for (int n = 0; n < 4; ++n)
    chosen |= static_cast<std::uint32_t>(both >> (bytes >> 4 * n & 7) * 8 & 255) << 8 * n;
  return chosen;
#endif
}

VISTA_DEVICE std::uint32_t Shifted(std::uint32_t low, std::uint32_t high, int bits) {
#ifdef __CUDA_ARCH__
  return __funnelshift_r(low, high, static_cast<unsigned>(bits));
#else
  return static_cast<std::uint32_t>((low | std::uint64_t{high} << 32) >> bits);
#endif
}

// Four neighbouring pixels, as pairs of halves by channel.
struct Quad {
  std::uint32_t of[3][2];
};

// Of bytes r g b, beginning `bits` bits into four words.
VISTA_DEVICE Quad QuadOf(const std::uint32_t* words, int bits) {
  constexpr std::uint32_t kBytes = 0x00ff00ff;
  const std::uint32_t a = Shifted(words[0], words[1], bits);  // r g b r
  const std::uint32_t b = Shifted(words[1], words[2], bits);  // g b r g
  const std::uint32_t c = Shifted(words[2], words[3], bits);  // b r g b
  return {{{Chosen(a, 0, 0x4340), Chosen(b, c, 0x0502) & kBytes},
           {Chosen(a, b, 0x0401) & kBytes, Chosen(b, c, 0x0603) & kBytes},
           {Chosen(a, b, 0x0502) & kBytes, Chosen(c, 0, 0x4340)}}};
}

VISTA_DEVICE Unit UnitOf(const std::uint32_t* words, int bits) {
  Unit unit;
  VISTA_UNROLL
  for (int n = 0; n < kUnit / 4; ++n) {
    const Quad quad = QuadOf(words + 3 * n, bits);
    VISTA_UNROLL
    for (int c = 0; c < 3; ++c) {
      unit.of[c][2 * n] = quad.of[c][0];
      unit.of[c][2 * n + 1] = quad.of[c][1];
    }
  }
  return unit;
}

VISTA_DEVICE void StoreUnit(const Unit& unit, int line, int number, const Shared& shared) {
  Half* const to = shared.samples + line * shared.stride + kUnit * number;
  VISTA_UNROLL
  for (int c = 0; c < 3; ++c) StoreChunk(unit.of[c], to + c * shared.plane);
}

// Where the first axis is y: a unit is of several lines, of at most `lines`, and `sample` one of
// each.
VISTA_DEVICE void StoreTurned(const Unit& unit, int lines, int sample, int number,
                              const Shared& shared) {
  VISTA_UNROLL
  for (int n = 0; n < kUnit; ++n) {
    if (kUnit * number + n >= lines) break;
    Half* const to = shared.samples + (kUnit * number + n) * shared.stride + sample;
    VISTA_UNROLL
    for (int c = 0; c < 3; ++c)
      to[c * shared.plane] = static_cast<Half>(unit.of[c][n / 2] >> n % 2 * 16);
  }
}

// The lane's share of the samples of its warp's lines.
VISTA_DEVICE void StageSamples(const PlannedRow& row, const Part& part, const std::uint8_t* pixels,
                               int warp, int lane, const Shared& shared) {
  const Source source = SourceOf(row, part, pixels);
  const Reach own = OwnLines(source, warp);
  const int across = row.turned ? part.lines.end - part.lines.begin : Padded(part);
  const Groups units = GroupsOf((across + kUnit - 1) / kUnit);
  const int count = (own.end - own.begin) * units.each;
  const bool turned = row.turned;
  VISTA_NO_UNROLL
  for (int n = lane; n < count; n += kWarp) {
    const int group = GroupOf(n, units);
    const int line = own.begin + group;
    const int number = n - group * units.each;
    const int skipped = Skipped(Beyond(source.corner, line, source.pitch));
    const auto* const from = reinterpret_cast<const std::uint32_t*>(
        shared.raw + line * shared.raw_stride + 3 * kUnit * number + (skipped & ~3));
    if (!turned) {
      StoreUnit(UnitOf(from, skipped % 4 * 8), line, number, shared);
    } else if (line < source.lines) {
      StoreTurned(UnitOf(from, skipped % 4 * 8), across, line, number, shared);
    } else {
      StoreTurned({}, across, line, number, shared);
    }
  }
}

}  // namespace vista::cuda
