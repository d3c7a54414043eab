// HostDevice: a Device on the host's memory. Its queue is a thread that runs the blocks of the CUDA
// kernel, one warp after another, so that what the native Ops do with a Device can be seen without
// a GPU: whether they wait for what they read, and let go of nothing too soon.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "cuda/device.h"

namespace vista::cuda {

// Stands for a cudaEvent_t; its address is the handle.
class HostEvent {
 public:
  void Set();
  void Await();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool is_set_ = false;
};

class HostDevice final : public Device {
 public:
  struct Limits {
    std::size_t bytes = std::size_t{1} << 40;  // in all its memory
    int rows = 1 << 16;                        // of a batch for which there is room
  };

  explicit HostDevice(const Limits& limits);
  HostDevice() : HostDevice(Limits()) {}
  ~HostDevice() override;

  [[nodiscard]] int index() const override { return -1; }
  Result<DeviceMemoryRef> Allocate(std::size_t bytes) override;
  Status WaitFor(std::uintptr_t event) override;
  Status Resize(const CropResizeBatch& batch, std::span<const DeviceMemoryRef> outputs,
                std::vector<ObjectRef> kept) override;

  // Of batches that were accepted.
  [[nodiscard]] int launches() const { return launches_; }

 private:
  void Enqueue(std::function<void()> work);
  void Work();

  const Limits limits_;
  const std::shared_ptr<std::atomic<std::size_t>> used_ =
      std::make_shared<std::atomic<std::size_t>>(0);
  std::atomic<int> launches_{0};

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace vista::cuda
