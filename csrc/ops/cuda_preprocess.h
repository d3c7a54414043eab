// cuda.preprocess(image, box=None, processor="qwen_vl", dtype="float32", ...): Qwen-VL's patches of
// pixels in a device's memory, made there by the CUDA kernel, a launch for all calls of a Batch.
//
// The arguments and the numbers are those of image.preprocess (at most a grey level off in some
// samples), and `dtype` is "float32", "float16" or "bfloat16". Gives {"pixel_values": DeviceArray
// [h * w, 3 * temporal_patch_size * patch_size^2], "grid_thw": (1, h, w)}. What was given last is
// held within a budget of bytes of the device, and given again for an equal call.
#pragma once

#include <cstddef>
#include <memory>

#include "cuda/device.h"
#include "exec/native_op.h"

namespace vista::ops {

inline constexpr const char* kCudaPreprocess = "cuda.preprocess";

std::unique_ptr<exec::NativeOp> MakeCudaPreprocess(std::shared_ptr<cuda::Device> device,
                                                   std::size_t budget_bytes, std::size_t max_batch);

}  // namespace vista::ops
