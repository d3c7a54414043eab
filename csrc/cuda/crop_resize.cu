#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <string>
#include <type_traits>

#include "cuda/crop_patch_write.h"
#include "cuda/crop_resize.h"
#include "cuda/crop_resize_plan.h"
#include "cuda/crop_resize_samples.h"
#include "cuda/crop_resize_tile.h"
#include "cuda/crop_resize_weights.h"
#include "cuda/crop_resize_write.h"

namespace vista::cuda {
namespace {

// As kernels/cuda_library.py declares it.
static_assert(sizeof(CropResizeBatch) == 128 && offsetof(CropResizeBatch, scale) == 88 &&
              offsetof(CropResizeBatch, shift) == 100 && offsetof(CropResizeBatch, type) == 112 &&
              offsetof(CropResizeBatch, out) == 120);

__device__ void Put(float* to, float value) { *to = value; }
__device__ void Put(__half* to, float value) { *to = __float2half_rn(value); }
__device__ void Put(__nv_bfloat16* to, float value) { *to = __float2bfloat16_rn(value); }

// Four numbers at once.
template <typename T>
__device__ void Put(T* to, const Four& values) {
  struct alignas(kFour * sizeof(T)) Vector {
    T of[kFour];
  } vector;
  VISTA_UNROLL
  for (int n = 0; n < kFour; ++n) Put(&vector.of[n], values.of[n]);
  *reinterpret_cast<Vector*>(to) = vector;
}

// What a kernel's blocks have to know of some rows of a batch. It is a parameter of the kernel, and
// so needs no memory on the device and no copy in front of the launch.
constexpr int kRowsAtOnce = 256;
struct Rows {
  PlannedRow of[kRowsAtOnce];
  int starts[kRowsAtOnce];  // of each row's blocks, among those of all; far beyond for what is no
                            // row
};
static_assert(sizeof(Rows) + sizeof(Target) + 64 < 32764);  // what parameters can take

// The row of this block, for all its threads, and the block's number in it.
__device__ int LoadRow(const Rows& rows, PlannedRow* row) {
  const int block = static_cast<int>(blockIdx.x);
  int number = 0;
  VISTA_UNROLL
  for (int step = kRowsAtOnce / 2; step > 0; step /= 2)
    number += rows.starts[number + step] <= block ? step : 0;
  constexpr int kWords = sizeof(PlannedRow) / sizeof(int);
  static_assert(kWords <= kPatchThreads && kWords <= kThreads);
  static_assert(sizeof(PlannedRow) % sizeof(int) == 0);
  const unsigned word = threadIdx.x;
  if (word < kWords)
    reinterpret_cast<int*>(row)[word] = reinterpret_cast<const int*>(&rows.of[number])[word];
  __syncthreads();
  return block - rows.starts[number];
}

// For rows that are near; the next for the others. Where registers do not suffice for so many
// blocks of a multiprocessor, memory of the device takes their place, which costs more than blocks
// gain.
template <typename T, int kPatch>
__global__ void __launch_bounds__(kPatchThreads, 5)
    CropPatchKernel(const std::uint8_t* pixels, const __grid_constant__ Rows rows,
                    Arithmetic arithmetic, Target target, T* out) {
  extern __shared__ __align__(16) unsigned char bytes[];
  auto* const memory = reinterpret_cast<PatchMemory*>(bytes);
  __shared__ PlannedRow row;
  const int number = LoadRow(rows, &row);
  const int warp = static_cast<int>(threadIdx.x / kWarp);
  if (threadIdx.x == 0) memory->block = PatchBlockOf<kPatch>(row, number);
  __syncthreads();
  int* const edges = memory->edges[warp];
  FindEdges<kPatch>(row, memory->block, arithmetic, edges);
  std::uint8_t* const lines = memory->lines[warp];
  if (warp < memory->block.count)
    FetchPatch(NearPatchOf(warp, memory->block, edges), row, pixels, lines);
  StagePatchWeights<kPatch>(row, arithmetic, warp, memory);
  __syncthreads();
  VISTA_NO_UNROLL
  for (int n = warp; n < memory->block.count; n += kPatchWarps) {
    AwaitLines();
    Levels levels;
    ResizeFirst(NearPatchOf(n, memory->block, edges), row, pixels, lines, *memory, &levels);
    __syncwarp();
    if (n + kPatchWarps < memory->block.count)
      FetchPatch(NearPatchOf(n + kPatchWarps, memory->block, edges), row, pixels, lines);
    // Found anew, because it would take many registers.
    const NearPatch patch = NearPatchOf(static_cast<int>(Opaque(n)), memory->block, edges);
    PatchSums sums;
    ResizeLast(patch, levels, *memory, &sums);
    WritePatch<kPatch>(patch, row, target, sums, out,
                       [](T* to, const Four& values) { Put(to, values); });
  }
}

// kWhole says that every row of the batch is: the other way takes more registers.
template <typename T, int kPatch, bool kWhole>
__global__ void __launch_bounds__(kThreads, 3)
    CropResizeKernel(const std::uint8_t* pixels, const __grid_constant__ Rows rows,
                     Arithmetic arithmetic, Target target, T* out) {
  extern __shared__ __align__(16) unsigned char memory[];
  // Shared, because it would take many registers.
  __shared__ PlannedRow row;
  const int number = LoadRow(rows, &row);
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = static_cast<int>(threadIdx.x / kWarp);
  const Shared shared = SharedIn(memory, row.room, kStagedBytes<kPatch>);
  const auto put = [](T* to, const auto& values) { Put(to, values); };
  const int block_last = number / row.blocks_first;
  const int block_first = number - block_last * row.blocks_first;
  const int begin = block_last * row.tiles * kTileLast<kPatch>;
  const int end = Least(begin + row.tiles * kTileLast<kPatch>, row.last.size);
  const Lanes<int> edges = EdgesOf<kPatch>(row, arithmetic, block_first, begin, warp);
  const Reach samples = SightOf(edges, kMostTiles).tile;
  const bool whole_lines = kWhole || row.room.whole;
  const auto fetch = [&](const Part& part) {
    FetchLines(row, part, pixels, warp, static_cast<int>(Opaque(thread)) % kWarp, shared);
  };
  if (whole_lines) {
    const Reach window = SightOf(edges, 0).tile;
    fetch({LinesFrom(window.begin, window, row.room), samples});
  }
  VISTA_NO_UNROLL
  for (int last = begin, n = 0; last < end; last += kTileLast<kPatch>, ++n) {
    const Tile tile = TileOf<kPatch>(row, block_first, last);
    const Piece piece = PieceOf<kPatch>(tile, edges, n, warp);
    const Reach window = piece.lines.tile;
    Blocks outputs;
    FillOutputs(arithmetic, &outputs);
    int line = window.begin;
    do {
      Part part = {LinesFrom(line, window, row.room), samples};
      const int own = static_cast<int>(Opaque(thread));
      StageLastWeights<kPatch>(tile, row, part, arithmetic, line == window.begin, own, shared);
      if (whole_lines) {
        if (last == begin && line == window.begin)
          StageFirstWeights<kPatch>(tile, row, part, arithmetic, true, own, shared);
        AwaitLines();
        StageSamples(row, part, pixels, warp, own % kWarp, shared);
        __syncthreads();
        if (part.lines.end < window.end) {
          fetch({LinesFrom(part.lines.end, window, row.room), samples});
        } else if (last + kTileLast<kPatch> < end) {
          const Reach next = SightOf(edges, n + 1).tile;
          fetch({LinesFrom(next.begin, next, row.room), samples});
        }
        ResizePart(piece, part, arithmetic, shared, &outputs);
        __syncthreads();
      } else {
        Blocks lines;
        Fill(0, &lines);
        VISTA_NO_UNROLL
        for (int sample = samples.begin; sample < samples.end; sample = part.samples.end) {
          part.samples = {sample, Least(sample + row.room.samples, samples.end)};
          fetch(part);
          StageFirstWeights<kPatch>(tile, row, part, arithmetic, sample == samples.begin, own,
                                    shared);
          AwaitLines();
          StageSamples(row, part, pixels, warp, own % kWarp, shared);
          __syncthreads();
          ResizeSome(piece, part, shared, &lines);
          __syncthreads();
        }
        ResizeLines(piece, part, arithmetic, lines, shared, &outputs);
        __syncthreads();
      }
      line = part.lines.end;
    } while (line < window.end);
    if constexpr (kPatch == 0) {
      WritePiece(tile, piece, row, arithmetic, target, outputs, out, put);
    } else {
      StagePatch<kPatch>(piece, row, arithmetic, target, warp, outputs, shared);
      __syncwarp();
      CopyPatch<kPatch>(tile, piece, row, target, warp, shared, out, put);
      __syncthreads();
    }
  }
}

Status Failed(const char* what, cudaError_t error) {
  static_cast<void>(cudaGetLastError());  // or the next launch would be taken for this one
  const bool other_gpu =
      error == cudaErrorNoKernelImageForDevice || error == cudaErrorUnsupportedPtxVersion;
  return {
      StatusCode::kInternal,
      std::string("CUDA refused ") + what + " of crop_resize: " + cudaGetErrorString(error) +
          (other_gpu ? "; build the library for this GPU (CMAKE_CUDA_ARCHITECTURES) or its driver"
                     : "; see what else uses this GPU, or use the kernels of Triton")};
}

// How a kernel's blocks are made.
struct Shape {
  int threads;
  std::int64_t bytes;  // of shared memory
  int most_bytes;
};

// Enqueues a kernel for the rows of which `has` says that they are its.
template <typename T, typename Kernel, typename Has>
Status Launch(const CropResizeBatch& batch, Kernel* kernel, const Shape& shape, const Has& has,
              cudaStream_t stream) {
  const auto* const planned = static_cast<const PlannedRow*>(batch.plan);
  if (std::none_of(planned, planned + batch.row_count, has)) return {};
  // More than 48 KiB have to be asked for, and always the same, because the setting is every
  // thread's.
  if (const cudaError_t error = cudaFuncSetAttribute(
          kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shape.most_bytes);
      error != cudaSuccess) {
    return Failed("the shared memory", error);
  }
  const Target target = {batch.layout,
                         batch.patch_size,
                         batch.merge_size,
                         batch.temporal_patch_size,
                         {batch.scale[0], batch.scale[1], batch.scale[2]},
                         {batch.shift[0], batch.shift[1], batch.shift[2]}};
  Rows rows;
  for (int begin = 0; begin < batch.row_count; begin += kRowsAtOnce) {
    const int count = std::min(kRowsAtOnce, batch.row_count - begin);
    std::copy(planned + begin, planned + begin + count, rows.of);
    std::int64_t blocks = 0;
    for (int n = 0; n < count; ++n) {
      rows.starts[n] = static_cast<int>(blocks);
      if (has(rows.of[n])) blocks += rows.of[n].blocks;
    }
    std::fill(rows.starts + count, rows.starts + kRowsAtOnce, INT_MAX);
    if (blocks == 0) continue;
    if (blocks >= INT_MAX)
      return Status::InvalidArgument("rows from " + std::to_string(begin) + " on take " +
                                     std::to_string(blocks) +
                                     " blocks of threads, and a launch 2^31; give smaller outputs");
    static_cast<void>(cudaGetLastError());  // what others have left unread
    kernel<<<static_cast<unsigned>(blocks), static_cast<unsigned>(shape.threads),
             static_cast<std::size_t>(shape.bytes), stream>>>(
        batch.pixels, rows, Arithmetic{batch.bicubic, batch.rounded}, target,
        static_cast<T*>(batch.out));
    if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess)
      return Failed("the launch", error);
  }
  return {};
}

template <typename T, int kPatch>
Status Launch(const CropResizeBatch& batch, cudaStream_t stream) {
  if (kPatch != 0 && reinterpret_cast<std::uintptr_t>(batch.out) % (kFour * sizeof(T)) != 0) {
    return Status::InvalidArgument("out is not aligned to " + std::to_string(kFour * sizeof(T)) +
                                   " bytes; pass a tensor of its own, or leave it out");
  }
  const auto is_near = [](const PlannedRow& row) { return row.near != 0; };
  const auto is_other = [](const PlannedRow& row) { return row.near == 0; };
  if constexpr (kPatch != 0) {
    constexpr int kBytes = sizeof(PatchMemory);
    const Shape shape = {kPatchThreads, kBytes, kBytes};
    if (Status status = Launch<T>(batch, CropPatchKernel<T, kPatch>, shape, is_near, stream);
        !status.ok()) {
      return status;
    }
  }
  const auto* const planned = static_cast<const PlannedRow*>(batch.plan);
  std::int64_t bytes = 0;
  bool whole = true;
  for (int n = 0; n < batch.row_count; ++n) {
    if (is_near(planned[n])) continue;
    bytes = std::max(bytes, SharedBytes(planned[n].room, kStagedBytes<kPatch>));
    whole &= planned[n].room.whole != 0;
  }
  const auto kernel =
      whole ? CropResizeKernel<T, kPatch, true> : CropResizeKernel<T, kPatch, false>;
  return Launch<T>(batch, kernel, {kThreads, bytes, kMostBytes}, is_other, stream);
}

}  // namespace

Status LaunchCropResize(const CropResizeBatch& batch, void* stream) {
  if (batch.row_count == 0) return {};
  const auto on = static_cast<cudaStream_t>(stream);
  return WithPatch(batch, [&](auto patch) {
    switch (batch.type) {
      case Float::kFloat16:
        return Launch<__half, patch()>(batch, on);
      case Float::kBfloat16:
        return Launch<__nv_bfloat16, patch()>(batch, on);
      default:
        return Launch<float, patch()>(batch, on);
    }
  });
}

}  // namespace vista::cuda

// The same for ctypes (kernels/cuda_library.py), whose structure Batch is this one. Each gives 0,
// or the StatusCode, whose message is written to `message`, cut to `capacity` bytes with its ending
// zero.
namespace {

int Report(const vista::Status& status, char* message, std::size_t capacity) {
  if (status.ok()) return 0;
  const std::size_t length = std::min(capacity - 1, status.message().size());
  std::memcpy(message, status.message().data(), length);
  message[length] = 0;
  return static_cast<int>(status.code());
}

}  // namespace

#define VISTA_EXPORT extern "C" __attribute__((visibility("default")))

VISTA_EXPORT std::size_t vista_planned_row_bytes() { return vista::cuda::PlannedRowBytes(); }

VISTA_EXPORT int vista_plan_crop_resize(const vista::cuda::CropResizeBatch* batch, void* plan,
                                        char* message, std::size_t capacity) {
  return Report(vista::cuda::PlanCropResize(*batch, plan), message, capacity);
}

VISTA_EXPORT int vista_launch_crop_resize(const vista::cuda::CropResizeBatch* batch, void* stream,
                                          char* message, std::size_t capacity) {
  return Report(vista::cuda::LaunchCropResize(*batch, stream), message, capacity);
}
