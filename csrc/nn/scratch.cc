#include "nn/scratch.h"

#include <algorithm>

namespace vista::nn {
namespace {

// So many blocks of depth, one row of them after the other. Rows of an even number of cache lines
// would share sets of the nearest cache, and a tile's would push each other out.
int PitchOf(int blocks) { return (blocks % 2 == 0 ? blocks + 1 : blocks) * kDepth; }

}  // namespace

Scratch LayOut(const ConvolveArgs& args, const Region& region, std::uint8_t* memory) {
  Scratch s;
  // Rows of a wider kernel are one run of inputs; a pixel of a kernel of one column begins a block
  // of depth of its own.
  const int blocks = (args.channels + kDepth - 1) / kDepth;
  s.pitch = args.kernel_width > 1 ? args.channels : PitchOf(blocks);
  s.room = args.kernel_width > 1 ? args.channels : blocks * kDepth;
  s.in_rows = (region.rows - 1) * args.stride_height + args.kernel_height;
  s.in_columns = (region.columns - 1) * args.stride_width + args.kernel_width;
  s.row_pitch = s.in_columns * s.pitch;
  if (args.second.depth_blocks > 0) s.hidden_pitch = PitchOf(args.second.depth_blocks);

  const auto take = [&](std::size_t size) {
    std::uint8_t* const begin = memory == nullptr ? nullptr : memory + s.bytes;
    s.bytes += (size + 63) / 64 * 64;
    return begin;
  };
  // Rows of tiles past the region's last pixel are read, and their products not used.
  const std::size_t slack =
      static_cast<std::size_t>(2) * kTileRows * args.stride_width * s.pitch + 2 * kDepth;
  const std::size_t inputs =
      (static_cast<std::size_t>(s.in_rows) * s.row_pitch + slack) * sizeof(Bf16);
  const std::size_t hidden = (static_cast<std::size_t>(region.columns) + 2 * kTileRows - 1) /
                             (2 * kTileRows) * (2 * kTileRows) * s.hidden_pitch * sizeof(Bf16);
  const bool both = args.products > 1;
  s.high = reinterpret_cast<Bf16*>(take(inputs));
  s.low = reinterpret_cast<Bf16*>(take(both ? inputs : 0));
  s.hidden_high = reinterpret_cast<Bf16*>(take(hidden));
  s.hidden_low = reinterpret_cast<Bf16*>(take(both ? hidden : 0));
  constexpr std::size_t kProductBytes = 8UL * kTileRows * kTileColumns * sizeof(float);
  s.products = reinterpret_cast<float*>(take(kProductBytes));
  return s;
}

}  // namespace vista::nn
