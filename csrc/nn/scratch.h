// Where a region of a convolution keeps what it makes on the way.
#pragma once

#include <cstddef>

#include "nn/kernels.h"

namespace vista::nn {

// The inputs lie as pixels [in_rows, in_columns, pitch], in bfloat16; `low` is used where there are
// several products.
struct Scratch {
  Bf16* high = nullptr;
  Bf16* low = nullptr;
  Bf16* hidden_high = nullptr;  // [columns, hidden_pitch]: what the second weights multiply
  Bf16* hidden_low = nullptr;
  float* products = nullptr;  // [2, 32, 32]: the latest and the ones before
  int pitch = 0;
  int room = 0;       // of a pixel's elements, those that are its channels, and zeros
  int row_pitch = 0;  // elements between rows
  int in_rows = 0, in_columns = 0;
  int hidden_pitch = 0;
  std::size_t bytes = 0;  // of all
};

// `memory` is aligned to 64 bytes; null to learn the bytes.
Scratch LayOut(const ConvolveArgs& args, const Region& region, std::uint8_t* memory);

}  // namespace vista::nn
