// A block's shared memory, and what of its source it holds at once.
//
// Samples and weights are halves, which tensor cores multiply. Bytes are halves of their own,
// numbers of 2^-24. A weight, 2^10 times itself, is the sum of two halves: that is 22 bits, about
// as exact as floats, but for those of shrinks by thousands, which are cut at 2^-24.
#pragma once

#include <cstdint>

#include "cuda/crop_resize_filter.h"
#include "cuda/crop_resize_plan.h"
#include "cuda/warp.h"

namespace vista::cuda {

inline constexpr float kWeightUnit = 1.0f / 1024;
inline constexpr float kSampleUnit = 1.0f / 16777216;

// Of the source of a tile, what is staged at once.
struct Part {
  Reach lines;
  Reach samples;  // of each line
};

VISTA_DEVICE Reach Common(const Reach& one, const Reach& other) {
  return {Most(one.begin, other.begin), Least(one.end, other.end)};
}

// Along the first axis, the samples of a part that a piece multiplies begin at an aligned one.
VISTA_DEVICE int AlignedBegin(int begin, const Part& part) {
  return part.samples.begin + (Most(begin - part.samples.begin, 0) & ~7);
}

// Rows of weights: of each output of the tile, padded to kPiece of them for every piece.
struct Weights {
  Half* high;
  Half* low;
  int stride;
};

struct Shared {
  float* scale;  // of the weights of kFirstOutputs, then of kLastOutputs
  Weights first, last;
  Half* samples;      // [channel][line][sample]
  int stride, plane;  // of the samples
  float* staged;      // a tile's numbers, in the end, over its last weights and samples
  std::uint8_t* raw;  // lines as they lie in the image, of the next part too
  int raw_stride;     // bytes from one to the next
};

// `memory` is aligned to 16 bytes, and has SharedBytes, of which `staged` are for a tile of
// patches.
VISTA_DEVICE Shared SharedIn(unsigned char* memory, const Room& room, int staged) {
  auto* const scale = reinterpret_cast<float*>(memory);
  auto* const first = reinterpret_cast<Half*>(scale + kFirstOutputs + kLastOutputs);
  Half* const last = first + 2 * kFirstOutputs * room.first_stride;
  return {scale,
          {first, first + kFirstOutputs * room.first_stride, room.first_stride},
          {last, last + kLastOutputs * room.last_stride, room.last_stride},
          last + 2 * kLastOutputs * room.last_stride,
          room.stride,
          room.lines * room.stride,
          reinterpret_cast<float*>(last),
          memory + RawOffset<int>(room, staged),
          room.raw_stride};
}

// Sixteen bytes that are read and written as one.
struct alignas(16) [[gnu::may_alias]] Chunk {
  std::uint32_t of[4];
};

// To shared memory, aligned to sixteen bytes.
VISTA_DEVICE void StoreChunk(const std::uint32_t (&words)[4], void* to) {
#ifdef __CUDA_ARCH__
  // Written out, because a compiler may not see that it is aligned.
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(
                   static_cast<std::uint32_t>(__cvta_generic_to_shared(to))),
               "r"(words[0]), "r"(words[1]), "r"(words[2]), "r"(words[3])
               : "memory");
#else
  *static_cast<Chunk*>(to) = {words[0], words[1], words[2], words[3]};
#endif
}

}  // namespace vista::cuda
