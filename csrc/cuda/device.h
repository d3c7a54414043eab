// What the native Ops ask of an accelerator: memory, and work in one queue. CudaDevice
// (cuda_device.cu), in the library of the CUDA kernels, is the one that users get.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "base/value.h"
#include "cuda/crop_resize.h"

namespace vista::cuda {

// Memory that work of its device's queue writes. It goes back, in the order of that work, when its
// last reference goes, on any thread.
class DeviceMemory {
 public:
  DeviceMemory(void* data, std::size_t bytes) : data_(data), bytes_(bytes) {}
  virtual ~DeviceMemory() = default;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  [[nodiscard]] void* data() const { return data_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

  // Lets `stream` (a cudaStream_t) read the memory: what it is given from now on waits for what
  // writes it. The reading ends when what this gives goes: what the stream has been given by then
  // reads to its end, however soon the memory goes back. The stream must outlive that. Any thread
  // may call it. Error: kInternal.
  virtual Result<std::shared_ptr<const void>> ReadOn(std::uintptr_t stream) = 0;

 private:
  void* const data_;
  const std::size_t bytes_;
};
using DeviceMemoryRef = std::shared_ptr<DeviceMemory>;

// One thread at a time uses a Device.
class Device {
 public:
  Device() = default;
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  // The number of a GPU; -1 for the host's memory.
  [[nodiscard]] virtual int index() const = 0;
  // Aligned to 256 bytes. Error: kResourceExhausted.
  virtual Result<DeviceMemoryRef> Allocate(std::size_t bytes) = 0;
  // What the queue is given from now on waits for `event` (a cudaEvent_t). Error: kInternal.
  virtual Status WaitFor(std::uintptr_t event) = 0;
  // Enqueues `batch`, whose plans are made here, and returns. It writes `outputs`, and keeps `kept`
  // alive until it has run; nothing of that may use the device when it goes. Errors:
  // kInvalidArgument for a batch that makes no sense, kResourceExhausted, kInternal; nothing reads
  // or writes any more then.
  virtual Status Resize(const CropResizeBatch& batch, std::span<const DeviceMemoryRef> outputs,
                        std::vector<ObjectRef> kept) = 0;
};

}  // namespace vista::cuda
