// The arguments by which Qwen-VL's patches are asked for, wherever they are made.
#pragma once

#include "base/value.h"
#include "image/preprocess.h"
#include "ops/arguments.h"

namespace vista::ops {

struct PatchArguments {
  PreprocessOptions options;
  PatchLayout layout;

  // Of an image, or of its box, of that size. Reads the last arguments of a call: others are
  // refused.
  static Result<PatchArguments> Parse(Arguments* arguments, Size image);

  // {"grid_thw", (1, h, w)}.
  [[nodiscard]] Value::Entry Grid() const;
};

}  // namespace vista::ops
