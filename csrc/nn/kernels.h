// What a network's steps do with memory, compiled once per instruction set and chosen at run time.
//
// Tensors are float32 [n, h, w, c], and bfloat16 where nothing but single products takes them: what
// those are of is the same then, and half the bytes go through memory.
//
// Products are of numbers as sums of bfloat16: a float32 x is high + low, high = bf16(x),
// low = bf16(x - high), and x * y is taken as high * high + high * low + low * high, summed in
// float32 (three products, errors of 2^-16 of x * y), or as high * high alone (one product).
#pragma once

#include <cstddef>
#include <cstdint>

namespace vista::nn {

using Bf16 = std::uint16_t;

inline constexpr int kTileRows = 16;     // rows of an accumulator, which are pixels
inline constexpr int kTileColumns = 16;  // its columns, which are output channels
inline constexpr int kDepth = 32;        // products that one step sums, which are input channels
inline constexpr int kMaxParts = 4;
inline constexpr int kLanes = 16;  // floats of a vector

enum class Activation : std::uint8_t { kNone, kRelu, kGelu, kSigmoid };

// Channels of a convolution's input, of which the whole is a concatenation.
struct Part {
  const float* data = nullptr;
  const Bf16* rounded = nullptr;  // in place of data, for one product; neither gated nor in planes
  const float* gate = nullptr;    // [n, channels], multiplied in; null for none
  int channels = 0;
  int upsampling = 0;   // each value stands for a square of 2^upsampling pixels
  bool planes = false;  // [n, c, h, w]
  bool pooled = false;  // of each value and those to the right, below and both, the largest
};

// A matrix of weights as tiles, [outputs / 16, depth / 32, products > 1 ? 2 : 1, 512], rows of
// pairs; and what is added to its products.
struct Weights {
  const Bf16* tiles = nullptr;
  const float* bias = nullptr;  // padded with zeros to whole tiles
  int column_tiles = 0;
  int depth_blocks = 0;
  int outputs = 0;
  Activation activation = Activation::kNone;
};

// Rows of all images, by their number, or by its last bits alone, of which this is a mask.
inline constexpr std::size_t kNoRing = ~std::size_t{0};

// Where what is made goes: as float32, or as what single products take of it.
struct Output {
  float* data = nullptr;
  Bf16* rounded = nullptr;  // in place of data
  std::size_t ring = kNoRing;
};

// A kernel that slides over an image, and the sizes of both images.
struct Sliding {
  int height = 0, width = 0, channels = 0;  // of the whole input
  int kernel_height = 1, kernel_width = 1;
  int stride_height = 1, stride_width = 1;
  int pad_top = 0, pad_left = 0;
  int out_height = 0, out_width = 0;
};

struct ConvolveArgs : Sliding {
  Part parts[kMaxParts];
  int part_count = 0;
  Weights first;
  Weights second;                // column_tiles 0 for none; for kernels of 1 x 1
  bool residual = false;         // the input is added to the last products
  const float* scale = nullptr;  // [n, outputs], which they are multiplied by
  const float* plus = nullptr;   // then added to them, as the output is laid out
  int plus_upsampling = 0;       // as a part's
  Output out;
  double* sums = nullptr;  // [n, outputs], to which a region's own are added; null for none
  int products = 3;
};

// Output pixels of one image that are made together.
struct Region {
  int image = 0;
  int row = 0, rows = 0;
  int column = 0, columns = 0;
};

struct DepthwiseArgs : Sliding {
  const float* in = nullptr;
  std::size_t ring = kNoRing;      // the input's
  const float* weights = nullptr;  // [kernel_height * kernel_width, channels rounded up to 16]
  const float* bias = nullptr;     // [channels rounded up to 16]
  bool relu = false;
  Output out;
  double* sums = nullptr;  // as ConvolveArgs has them
};

// out = in * gate + other upsampled; `gate` and `other` may be null.
struct BlendArgs {
  const float* in = nullptr;
  const float* gate = nullptr;
  const float* other = nullptr;
  int upsampling = 0;
  int height = 0, width = 0, channels = 0;
  float* out = nullptr;
};

struct PoolArgs : Sliding {
  const float* in = nullptr;
  float* out = nullptr;
};

// Channels (row, column, channel) of a square of block x block pixels, to their places; height,
// width and channels are the output's.
struct DepthToSpaceArgs {
  const float* in = nullptr;
  int block = 1;
  int height = 0, width = 0, channels = 0;
  float* out = nullptr;
};

// Of rows of inputs, the largest of their products with the weights, or the sum of what e^x makes
// of their distances to it. `weights.bias` is -infinity beyond the outputs.
struct ClassifyArgs {
  const Bf16* high = nullptr;  // [rows in whole blocks of 32, 32 * depth_blocks]
  const Bf16* low = nullptr;   // for three products
  Weights weights;
  const float* largest = nullptr;  // [rows]; null to look for them
  int products = 3;
};

// Rows and outputs that are looked at together, at most kClassifyRows and a multiple of 32.
struct Patch {
  int row = 0, rows = 0;
  int tile = 0, tiles = 0;  // of columns
};

inline constexpr int kClassifyRows = 256;

// A region is whole rows for all but convolve.
struct Kernels {
  void (*convolve)(const ConvolveArgs& args, const Region& region, std::uint8_t* scratch);
  void (*depthwise)(const DepthwiseArgs& args, const Region& region);
  void (*blend)(const BlendArgs& args, const Region& region);
  void (*max_pool)(const PoolArgs& args, const Region& region);
  void (*depth_to_space)(const DepthToSpaceArgs& args, const Region& region);
  // Rows [rows, depth] of float32, as high and low.
  void (*split)(const float* rows, int count, int depth, int products, Bf16* high, Bf16* low);
  // Into values and indices [rows], which are the patch's own: the largest and its output, the
  // first of several; or the sums, and no indices.
  void (*classify)(const ClassifyArgs& args, const Patch& patch, float* values, int* indices);
  const char* name;
};

// Those that this CPU can run, the fastest last; gives their number.
int UsableKernels(const Kernels* (&usable)[2]);

namespace avx512 {
extern const Kernels kKernels;
}
namespace amx {
extern const Kernels kKernels;
}

}  // namespace vista::nn
