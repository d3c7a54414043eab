#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "cuda/crop_resize.h"
#include "cuda/crop_resize_tile.h"

namespace vista::cuda {
namespace {

constexpr int kMostRows = 65535;  // the second axis of a grid

__device__ void Put(float* to, float value) { *to = value; }
__device__ void Put(__half* to, float value) { *to = __float2half_rn(value); }
__device__ void Put(__nv_bfloat16* to, float value) { *to = __float2bfloat16_rn(value); }

template <typename T>
__global__ void __launch_bounds__(kThreads)
    CropResizeKernel(const std::uint8_t* pixels, const CropRow* rows, Arithmetic arithmetic,
                     Target target, T* out) {
  __shared__ Shared shared;
  const CropRow row = rows[blockIdx.y];
  const Tile tile = TileOf(pixels, row, static_cast<int>(blockIdx.x));
  if (!Exists(tile)) return;
  const int thread = static_cast<int>(threadIdx.x);
  Sums sums;
  Prepare(tile, arithmetic, thread, &shared, &sums);
  __syncthreads();
  const Reach lines = LinesOf(tile, arithmetic);
  for (int begin = lines.begin; begin < lines.end; begin += kLines) {
    ResizeLines(tile, arithmetic, begin, lines.end, thread, &shared);
    __syncthreads();
    AddLines(tile, begin, lines.end, thread, shared, &sums);
    __syncthreads();
  }
  WriteTile(tile, arithmetic, target, row, blockIdx.y, thread, shared, sums,
            [out](std::int64_t index, float value) { Put(out + index, value); });
}

Status Check(const CropResizeBatch& batch) {
  if (batch.row_count < 0 || batch.row_count > kMostRows) {
    return Status::InvalidArgument("a batch has " + std::to_string(batch.row_count) +
                                   " rows; launch from 0 to " + std::to_string(kMostRows));
  }
  if (batch.patch_size < 1 || batch.merge_size < 1 || batch.temporal_patch_size < 1) {
    return Status::InvalidArgument(
        "patch_size, merge_size and temporal_patch_size are " + std::to_string(batch.patch_size) +
        ", " + std::to_string(batch.merge_size) + " and " +
        std::to_string(batch.temporal_patch_size) + "; give numbers of at least 1");
  }
  constexpr std::int64_t kMostProduct = std::int64_t{1} << 28;
  for (int n = 0; n < batch.row_count; ++n) {
    const CropRow& row = batch.rows[n];
    const auto [low, high] =
        std::minmax({row.last_length, row.first_length, row.last_size, row.first_size});
    if (low < 1 || high >= kMostProduct ||
        std::max(row.last_length, row.first_length) * std::max(row.last_size, row.first_size) >=
            kMostProduct) {
      return Status::InvalidArgument(
          "row " + std::to_string(n) + " resizes " + std::to_string(row.last_length) + " x " +
          std::to_string(row.first_length) + " to " + std::to_string(row.last_size) + " x " +
          std::to_string(row.first_size) +
          "; sides must be at least 1 and their products under 2^28");
    }
  }
  return {};
}

unsigned MostTiles(const CropResizeBatch& batch) {
  std::int64_t most = 0;
  for (int n = 0; n < batch.row_count; ++n) {
    const CropRow& row = batch.rows[n];
    most = std::max(most, (row.last_size + kTileLast - 1) / kTileLast *
                              ((row.first_size + kTileFirst - 1) / kTileFirst));
  }
  return static_cast<unsigned>(most);
}

template <typename T>
Status Launch(const CropResizeBatch& batch, cudaStream_t stream) {
  Target target = {batch.layout,
                   batch.patch_size,
                   batch.merge_size,
                   batch.temporal_patch_size,
                   {batch.scale[0], batch.scale[1], batch.scale[2]},
                   {batch.shift[0], batch.shift[1], batch.shift[2]}};
  const dim3 grid(MostTiles(batch), static_cast<unsigned>(batch.row_count));
  CropResizeKernel<T><<<grid, kThreads, 0, stream>>>(batch.pixels, batch.device_rows,
                                                     Arithmetic{batch.bicubic, batch.rounded},
                                                     target, static_cast<T*>(batch.out));
  if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess) {
    return {StatusCode::kInternal, std::string("CUDA refused the launch of crop_resize: ") +
                                       cudaGetErrorString(error) + "; see vista-fast doctor"};
  }
  return {};
}

}  // namespace

Status LaunchCropResize(const CropResizeBatch& batch, void* stream) {
  if (Status status = Check(batch); !status.ok()) return status;
  if (batch.row_count == 0) return {};
  const auto on = static_cast<cudaStream_t>(stream);
  switch (batch.type) {
    case Float::kFloat16:
      return Launch<__half>(batch, on);
    case Float::kBfloat16:
      return Launch<__nv_bfloat16>(batch, on);
    default:
      return Launch<float>(batch, on);
  }
}

}  // namespace vista::cuda

// The same for ctypes (kernels/cuda_library.py). Gives 0, or the StatusCode, whose message is
// written to `message`, cut to `capacity` bytes with its ending zero.
extern "C" __attribute__((visibility("default"))) int vista_crop_resize(
    const std::uint8_t* pixels, const std::int64_t* rows, const std::int64_t* device_rows,
    int row_count, int layout, const int* patches, int bicubic, int rounded, const float* scale,
    const float* shift, int type, void* out, void* stream, char* message, std::size_t capacity) {
  vista::cuda::CropResizeBatch batch;
  batch.pixels = pixels;
  batch.rows = reinterpret_cast<const vista::cuda::CropRow*>(rows);
  batch.device_rows = reinterpret_cast<const vista::cuda::CropRow*>(device_rows);
  batch.row_count = row_count;
  batch.layout = static_cast<vista::cuda::Layout>(layout);
  batch.patch_size = patches[0];
  batch.merge_size = patches[1];
  batch.temporal_patch_size = patches[2];
  batch.bicubic = bicubic != 0;
  batch.rounded = rounded != 0;
  std::copy(scale, scale + 3, batch.scale.begin());
  std::copy(shift, shift + 3, batch.shift.begin());
  batch.type = static_cast<vista::cuda::Float>(type);
  batch.out = out;
  const vista::Status status = vista::cuda::LaunchCropResize(batch, stream);
  if (status.ok()) return 0;
  const std::size_t length = std::min(capacity - 1, status.message().size());
  std::memcpy(message, status.message().data(), length);
  message[length] = 0;
  return static_cast<int>(status.code());
}
