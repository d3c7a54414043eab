// CudaDevice: a GPU, with a stream as its queue and a pool of memory of its own.
#include <cuda_runtime_api.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "cuda/device.h"
#include "cuda/device_library.h"
#include "cuda/primary_context.h"

namespace vista::cuda {
namespace {

Status Failed(const char* what, int index, cudaError_t error) {
  return {StatusCode::kInternal, std::string("CUDA refused ") + what +
                                     " on cuda:" + std::to_string(index) + ": " +
                                     cudaGetErrorString(error) + "; see what else uses this GPU"};
}

// Used and destroyed in its GPU's context.
class Event {
 public:
  Event() { made_ = cudaEventCreateWithFlags(&event_, cudaEventDisableTiming); }
  ~Event() {
    if (made_ == cudaSuccess) static_cast<void>(cudaEventDestroy(event_));
  }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  // It comes when all has run that `stream` has been given so far.
  cudaError_t RecordOn(cudaStream_t stream) {
    return made_ == cudaSuccess ? cudaEventRecord(event_, stream) : made_;
  }
  cudaError_t HoldUp(cudaStream_t stream) const { return cudaStreamWaitEvent(stream, event_, 0); }
  [[nodiscard]] bool HasCome() const { return cudaEventQuery(event_) == cudaSuccess; }

 private:
  cudaEvent_t event_ = nullptr;
  cudaError_t made_;
};
using EventRef = std::shared_ptr<Event>;

// The streams and the pool: what memory needs when it goes back, which may be after the Device.
class Queue {
 public:
  const int index;
  const PrimaryContext context;
  cudaStream_t stream = nullptr;
  cudaStream_t returns = nullptr;  // where memory that was read goes back: no launch waits for that
  cudaMemPool_t pool = nullptr;

  Queue(int number, const PrimaryContext& of) : index(number), context(of), process_(getpid()) {}
  ~Queue() {
    if (IsOfParent()) return;
    const PrimaryContext::Scope scope(context);
    if (stream != nullptr) static_cast<void>(cudaStreamDestroy(stream));
    if (returns != nullptr) static_cast<void>(cudaStreamDestroy(returns));
    if (pool != nullptr) static_cast<void>(cudaMemPoolDestroy(pool));
  }

  // In the child of a fork there is no CUDA, and all of it is the parent's.
  [[nodiscard]] bool IsOfParent() const { return getpid() != process_; }

 private:
  const pid_t process_;
};
using QueueRef = std::shared_ptr<const Queue>;

class CudaMemory final : public DeviceMemory, public std::enable_shared_from_this<CudaMemory> {
 public:
  CudaMemory(QueueRef queue, void* data, std::size_t bytes)
      : DeviceMemory(data, bytes), queue_(std::move(queue)) {}

  ~CudaMemory() override {
    if (queue_->IsOfParent()) {
      static_cast<void>(new Reads(std::move(reads_)));
      static_cast<void>(new EventRef(std::move(written_)));
      return;
    }
    const PrimaryContext::Scope scope(queue_->context);
    if (!is_lost_) GoBack();
    reads_.clear();
    written_.reset();
  }

  // Before anybody else has the memory.
  void WrittenAt(EventRef written) { written_ = std::move(written); }

  Result<std::shared_ptr<const void>> ReadOn(std::uintptr_t stream) override {
    const PrimaryContext::Scope scope(queue_->context);
    auto* const reader = reinterpret_cast<cudaStream_t>(stream);  // NOLINT: a handle
    const auto reading = std::make_shared<const Reading>(shared_from_this(), reader, AddRead());
    if (written_ != nullptr && !written_->HasCome()) {
      if (const cudaError_t error = written_->HoldUp(reader); error != cudaSuccess)
        return Failed("a wait", queue_->index, error);
    }
    return std::shared_ptr<const void>(reading);
  }

 private:
  // The event is made when the reading begins, because its end must not fail.
  struct Read {
    Event end;
    bool has_ended = false;
  };
  using Reads = std::vector<std::unique_ptr<Read>>;

  class Reading {
   public:
    Reading(std::shared_ptr<CudaMemory> memory, cudaStream_t stream, Read* read)
        : memory_(std::move(memory)), stream_(stream), read_(read) {}
    ~Reading() { memory_->EndRead(stream_, read_); }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

   private:
    const std::shared_ptr<CudaMemory> memory_;
    const cudaStream_t stream_;
    Read* const read_;  // of memory_
  };

  Read* AddRead() {
    const std::lock_guard lock(mutex_);
    std::erase_if(reads_, [](const auto& read) { return read->has_ended && read->end.HasCome(); });
    return reads_.emplace_back(std::make_unique<Read>()).get();
  }

  void EndRead(cudaStream_t stream, Read* read) {
    if (queue_->IsOfParent()) return;
    const PrimaryContext::Scope scope(queue_->context);
    // A stream that captures a graph reads whenever that is launched, and its event would make our
    // queue a part of the graph.
    cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    const bool is_known = cudaStreamIsCapturing(stream, &capture) == cudaSuccess &&
                          capture == cudaStreamCaptureStatusNone &&
                          read->end.RecordOn(stream) == cudaSuccess;
    const std::lock_guard lock(mutex_);
    if (is_known) {
      read->has_ended = true;
    } else {
      is_lost_ = true;
    }
  }

  void GoBack() {
    if (reads_.empty()) {
      static_cast<void>(cudaFreeAsync(data(), queue_->stream));
      return;
    }
    if (written_ != nullptr) static_cast<void>(written_->HoldUp(queue_->returns));
    for (const auto& read : reads_) static_cast<void>(read->end.HoldUp(queue_->returns));
    static_cast<void>(cudaFreeAsync(data(), queue_->returns));
  }

  const QueueRef queue_;
  EventRef written_;
  std::mutex mutex_;
  Reads reads_;
  bool is_lost_ = false;  // nobody knows when it is read: it never goes back
};

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(QueueRef queue) : queue_(std::move(queue)) {}
  ~CudaDevice() override {
    if (queue_->IsOfParent()) return;
    const PrimaryContext::Scope scope(queue_->context);
    static_cast<void>(cudaStreamSynchronize(queue_->stream));
  }

  [[nodiscard]] int index() const override { return queue_->index; }

  Result<DeviceMemoryRef> Allocate(std::size_t bytes) override {
    const PrimaryContext::Scope scope(queue_->context);
    Result<std::shared_ptr<CudaMemory>> memory = AllocateHere(bytes);
    if (!memory.ok()) return memory.status();
    return DeviceMemoryRef(std::move(memory).value());
  }

  Status WaitFor(std::uintptr_t event) override {
    const PrimaryContext::Scope scope(queue_->context);
    auto* const other = reinterpret_cast<cudaEvent_t>(event);  // NOLINT: a handle
    const cudaError_t error = cudaStreamWaitEvent(queue_->stream, other, 0);
    return error == cudaSuccess ? Status() : Failed("a wait", index(), error);
  }

  Status Resize(const CropResizeBatch& given, std::span<const DeviceMemoryRef> outputs,
                std::vector<ObjectRef> kept) override {
    const PrimaryContext::Scope scope(queue_->context);
    std::vector<std::byte> plan(static_cast<std::size_t>(given.row_count) * PlannedRowBytes());
    CropResizeBatch batch = given;
    if (Status status = PlanCropResize(batch, plan.data()); !status.ok()) return status;
    batch.plan = plan.data();
    Status status = Launch(batch, outputs, &kept);
    // What was enqueued before something failed must not outlive what it reads.
    if (!status.ok()) static_cast<void>(cudaStreamSynchronize(queue_->stream));
    return status;
  }

 private:
  Result<std::shared_ptr<CudaMemory>> AllocateHere(std::size_t bytes) {
    void* data = nullptr;
    cudaError_t error = cudaMallocFromPoolAsync(&data, bytes, queue_->pool, queue_->stream);
    if (error == cudaErrorMemoryAllocation) {
      // What was given back counts once its turn has come.
      static_cast<void>(cudaStreamSynchronize(queue_->stream));
      static_cast<void>(cudaStreamSynchronize(queue_->returns));
      error = cudaMallocFromPoolAsync(&data, bytes, queue_->pool, queue_->stream);
    }
    if (error == cudaErrorMemoryAllocation) {
      return Status::ResourceExhausted(
          "there is no memory for " + std::to_string(bytes) +
          " bytes on cuda:" + std::to_string(index()) +
          "; give smaller or fewer images at a time, or free what torch keeps for later "
          "(torch.cuda.empty_cache())");
    }
    if (error != cudaSuccess) return Failed("memory", index(), error);
    try {
      return std::make_shared<CudaMemory>(queue_, data, bytes);
    } catch (...) {
      static_cast<void>(cudaFreeAsync(data, queue_->stream));
      throw;
    }
  }

  // Takes `kept` where all went well.
  Status Launch(const CropResizeBatch& batch, std::span<const DeviceMemoryRef> outputs,
                std::vector<ObjectRef>* kept) {
    const cudaStream_t stream = queue_->stream;
    const auto written = std::make_shared<Event>();
    auto released = std::make_unique<std::vector<ObjectRef>>();
    if (Status status = LaunchCropResize(batch, stream); !status.ok()) return status;
    if (const cudaError_t error = written->RecordOn(stream); error != cudaSuccess)
      return Failed("an event", index(), error);
    *released = std::move(*kept);
    const auto release = [](void* done) { delete static_cast<std::vector<ObjectRef>*>(done); };
    if (const cudaError_t error = cudaLaunchHostFunc(stream, release, released.get());
        error != cudaSuccess) {
      *kept = std::move(*released);
      return Failed("a function of the host", index(), error);
    }
    static_cast<void>(released.release());
    for (const DeviceMemoryRef& output : outputs)
      static_cast<CudaMemory&>(*output).WrittenAt(written);
    return {};
  }

  const QueueRef queue_;
};

Result<std::shared_ptr<Device>> Open(int index, std::size_t idle_bytes) {
  const Result<PrimaryContext> context = PrimaryContext::Of(index);
  if (!context.ok()) return context.status();
  const PrimaryContext::Scope scope(context.value());
  const auto queue = std::make_shared<Queue>(index, context.value());
  cudaError_t error = cudaStreamCreateWithFlags(&queue->stream, cudaStreamNonBlocking);
  if (error == cudaSuccess)
    error = cudaStreamCreateWithFlags(&queue->returns, cudaStreamNonBlocking);
  if (error != cudaSuccess) return Failed("a stream", index, error);
  cudaMemPoolProps props = {};
  props.allocType = cudaMemAllocationTypePinned;
  props.location.type = cudaMemLocationTypeDevice;
  props.location.id = index;
  error = cudaMemPoolCreate(&queue->pool, &props);
  if (error != cudaSuccess) return Failed("a pool of memory", index, error);
  std::uint64_t keep = idle_bytes;
  error = cudaMemPoolSetAttribute(queue->pool, cudaMemPoolAttrReleaseThreshold, &keep);
  if (error != cudaSuccess) return Failed("a pool of memory", index, error);
  return std::shared_ptr<Device>(std::make_shared<CudaDevice>(queue));
}

}  // namespace
}  // namespace vista::cuda

// C's name with C++'s types: whoever loads the library is built from the same headers.
extern "C"
    __attribute__((visibility("default"))) vista::Result<std::shared_ptr<vista::cuda::Device>>
    vista_open_device_1(int index, std::size_t idle_bytes, std::size_t batch_bytes) {
  if (batch_bytes != sizeof(vista::cuda::CropResizeBatch)) {
    return vista::Status::NotFound(
        "the library of the CUDA kernels is of another version; build it again");
  }
  return vista::cuda::Open(index, idle_bytes);
}
