#include "fake_cuda.h"

#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string_view>
#include <utility>

#include "cuda.h"
#include "cuda/crop_resize.h"

struct FakeContext {};

struct FakeStream {
  std::deque<std::function<void()>> work;
  bool captures = false;
};

// Comes when `stream` has run as many items as it had been given; one without a stream has come.
struct FakeEvent {
  FakeEvent() = default;
  FakeEvent(FakeStream* on, std::size_t count) : stream(on), given(count) {}

  FakeStream* stream = nullptr;
  std::size_t given = 0;
};

struct FakePool {};

namespace {

struct State {
  std::vector<std::string> wrongs;
  fake_cuda::Limits limits;
  fake_cuda::Counts existing;
  std::map<void*, std::size_t> pool_bytes;
  std::map<FakeStream*, std::size_t> ran;    // items of each stream that have run
  std::map<FakeStream*, std::size_t> given;  // and that it was given
  std::vector<std::unique_ptr<FakeStream>> streams;
  std::vector<std::unique_ptr<FakeEvent>> own_events;  // of the program
  FakeContext context;
  int depth = 0;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  cudaError_t last = cudaSuccess;
};

State& Now() {
  static State state;
  return state;
}

cudaError_t Said(cudaError_t error) {
  if (error != cudaSuccess) Now().last = error;
  return error;
}

void CheckContext(const char* function) {
  if (Now().depth == 0) Now().wrongs.push_back(std::string(function) + " outside of a context");
}

// While another thread captures a graph, these break its capture, but for threads in relaxed mode.
void CheckMode(const char* function) {
  CheckContext(function);
  if (Now().mode != cudaStreamCaptureModeRelaxed)
    Now().wrongs.push_back(std::string(function) + " while others may capture");
}

void Enqueue(FakeStream* stream, std::function<void()> work) {
  stream->work.push_back(std::move(work));
  ++Now().given[stream];
}

void RunUntil(FakeStream* stream, std::size_t count) {
  while (Now().ran[stream] < count) {
    auto work = std::move(stream->work.front());
    stream->work.pop_front();
    ++Now().ran[stream];
    work();
  }
}

std::size_t Sum(const std::map<void*, std::size_t>& sizes) {
  std::size_t sum = 0;
  for (const auto& [data, bytes] : sizes) sum += bytes;
  return sum;
}

}  // namespace

namespace fake_cuda {

std::vector<std::string> TakeWrongs() { return std::exchange(Now().wrongs, {}); }

cudaStream_t NewStream() {
  Now().streams.push_back(std::make_unique<FakeStream>());
  return Now().streams.back().get();
}

void Give(cudaStream_t stream, std::function<void()> work) { Enqueue(stream, std::move(work)); }

void Run(cudaStream_t stream) { RunUntil(stream, Now().given[stream]); }

void BeginCapture(cudaStream_t stream) { stream->captures = true; }

cudaEvent_t RecordOn(cudaStream_t stream) {
  Now().own_events.push_back(std::make_unique<FakeEvent>(stream, Now().given[stream]));
  return Now().own_events.back().get();
}

void Limit(const Limits& limits) { Now().limits = limits; }

void FreeLost() {
  for (const auto& [data, bytes] : std::exchange(Now().pool_bytes, {})) std::free(data);
}

int Depth() { return Now().depth; }

Counts Existing() {
  Counts counts = Now().existing;
  counts.allocations = static_cast<int>(Now().pool_bytes.size());
  return counts;
}

}  // namespace fake_cuda

CUresult cuInit(unsigned) { return CUDA_SUCCESS; }

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
  *device = ordinal;
  return ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice) {
  *context = &Now().context;
  return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent(CUcontext) {
  ++Now().depth;
  return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent(CUcontext* context) {
  *context = &Now().context;
  if (Now().last != cudaSuccess) Now().wrongs.emplace_back("an error is left in the context");
  --Now().depth;
  return CUDA_SUCCESS;
}

cudaError_t cudaGetLastError() { return std::exchange(Now().last, cudaSuccess); }

const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory" : "another error";
}

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** found, unsigned,
                                             unsigned long long, cudaDriverEntryPointQueryResult*) {
  const std::map<std::string_view, void*> functions = {
      {"cuInit", reinterpret_cast<void*>(&cuInit)},
      {"cuDeviceGet", reinterpret_cast<void*>(&cuDeviceGet)},
      {"cuDevicePrimaryCtxRetain", reinterpret_cast<void*>(&cuDevicePrimaryCtxRetain)},
      {"cuCtxPushCurrent", reinterpret_cast<void*>(&cuCtxPushCurrent)},
      {"cuCtxPopCurrent", reinterpret_cast<void*>(&cuCtxPopCurrent)}};
  const auto at = functions.find(name);
  *found = at == functions.end() ? nullptr : at->second;
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  CheckContext("cudaStreamCreateWithFlags");
  *stream = fake_cuda::NewStream();
  ++Now().existing.streams;
  return cudaSuccess;
}

// What it was given runs to its end, as CUDA has it; the name stays, so that its use is seen.
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  CheckContext("cudaStreamDestroy");
  RunUntil(stream, Now().given[stream]);
  --Now().existing.streams;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  CheckMode("cudaStreamSynchronize");
  RunUntil(stream, Now().given[stream]);
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  CheckContext("cudaStreamWaitEvent");
  if (event->stream != nullptr) {
    Enqueue(stream, [on = event->stream, given = event->given] { RunUntil(on, given); });
  }
  return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  std::swap(*mode, Now().mode);
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  CheckContext("cudaStreamIsCapturing");
  *status = stream->captures ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  CheckContext("cudaEventCreateWithFlags");
  *event = new FakeEvent;
  ++Now().existing.events;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  CheckContext("cudaEventDestroy");
  delete event;
  --Now().existing.events;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  CheckContext("cudaEventRecord");
  if (stream->captures) Now().wrongs.emplace_back("an event was recorded in a capture");
  *event = {stream, Now().given[stream]};
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  CheckMode("cudaEventQuery");
  const bool has_come = event->stream == nullptr || Now().ran[event->stream] >= event->given;
  return has_come ? cudaSuccess : Said(cudaErrorNotReady);
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, void (*function)(void*), void* argument) {
  CheckContext("cudaLaunchHostFunc");
  if (!Now().limits.host_functions) return Said(cudaErrorInvalidValue);
  Enqueue(stream, [function, argument] { function(argument); });
  return cudaSuccess;
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t* pool, const cudaMemPoolProps* props) {
  CheckContext("cudaMemPoolCreate");
  if (props->location.id != 0) return Said(cudaErrorInvalidValue);
  *pool = new FakePool;
  ++Now().existing.pools;
  return cudaSuccess;
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
  CheckContext("cudaMemPoolDestroy");
  delete pool;
  --Now().existing.pools;
  return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }

cudaError_t cudaMallocFromPoolAsync(void** data, std::size_t bytes, cudaMemPool_t, cudaStream_t) {
  CheckContext("cudaMallocFromPoolAsync");
  if (Sum(Now().pool_bytes) + bytes > Now().limits.pool) return Said(cudaErrorMemoryAllocation);
  *data = std::malloc(bytes);
  Now().pool_bytes[*data] = bytes;
  return cudaSuccess;
}

cudaError_t cudaFreeAsync(void* data, cudaStream_t stream) {
  CheckContext("cudaFreeAsync");
  Enqueue(stream, [data] {
    std::memset(data, 0xee, Now().pool_bytes.at(data));
    Now().pool_bytes.erase(data);
    std::free(data);
  });
  return cudaSuccess;
}

namespace vista::cuda {

Status LaunchCropResize(const CropResizeBatch& batch, void* stream) {
  static_cast<void>(cudaGetLastError());
  if (!Now().limits.launches) return Status::Internal("CUDA refused the launch");
  std::int64_t first = 0;
  std::memcpy(&first, batch.plan, sizeof(first));
  Enqueue(static_cast<cudaStream_t>(stream),
          [first, out = batch.out] { std::memcpy(out, &first, sizeof(first)); });
  return {};
}

}  // namespace vista::cuda
