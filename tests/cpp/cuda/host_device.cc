#include "host_device.h"

#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "cuda/crop_resize_plan.h"
#include "row_on_host.h"

namespace vista::cuda {
namespace {

class HostMemory final : public DeviceMemory, public std::enable_shared_from_this<HostMemory> {
 public:
  HostMemory(void* data, std::size_t bytes, std::shared_ptr<std::atomic<std::size_t>> used)
      : DeviceMemory(data, bytes), used_(std::move(used)) {}
  ~HostMemory() override {
    // Work that is to come must not find it gone.
    if (written_ != nullptr) written_->Await();
    std::free(data());
    *used_ -= bytes();
  }

  void WrittenAt(std::shared_ptr<HostEvent> written) { written_ = std::move(written); }

  Result<std::shared_ptr<const void>> ReadOn(std::uintptr_t) override {
    if (written_ != nullptr) written_->Await();
    return std::shared_ptr<const void>(shared_from_this());
  }

 private:
  const std::shared_ptr<std::atomic<std::size_t>> used_;
  std::shared_ptr<HostEvent> written_;
};

void Put(float value, std::size_t at, float* out) { out[at] = value; }

void PutHalf(float value, std::size_t at, std::uint16_t* out) { out[at] = on_host::HalfOf(value); }

void PutBfloat(float value, std::size_t at, std::uint16_t* out) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  out[at] = static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// What a launch needs of a batch whose arrays are gone by the time that it runs.
struct Launch {
  CropResizeBatch batch;
  std::vector<PlannedRow> rows;
  std::vector<std::size_t> numbers;                          // of each row's output
  std::vector<std::pair<std::int64_t, std::size_t>> images;  // of each row: offset, bytes

  template <int kPatch>
  void RunRow(std::size_t n) const {
    const auto [offset, bytes] = images[n];
    const std::uint8_t* const image = batch.pixels + offset;
    // Where the kernel may read beyond the image there are bytes that it must not use.
    const std::size_t skipped = reinterpret_cast<std::uintptr_t>(image) % sizeof(Chunk);
    std::vector<Chunk> chunks((skipped + bytes + sizeof(Chunk) - 1) / sizeof(Chunk));
    auto* const copy = reinterpret_cast<std::uint8_t*>(chunks.data());
    std::memcpy(copy + skipped, image, bytes);
    PlannedRow row = rows[n];
    row.first_byte += static_cast<std::int64_t>(skipped) - offset;
    const std::int64_t first_number = std::exchange(row.first_number, 0);
    Target target = {batch.layout,
                     batch.patch_size,
                     batch.merge_size,
                     batch.temporal_patch_size,
                     {batch.scale[0], batch.scale[1], batch.scale[2]},
                     {batch.shift[0], batch.shift[1], batch.shift[2]}};
    std::vector<float> out(numbers[n], NAN);
    RowOnHost<kPatch>(row, {batch.bicubic, batch.rounded}, target, copy, &out).Run();
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::size_t at = static_cast<std::size_t>(first_number) + i;
      if (batch.type == Float::kFloat32) {
        Put(out[i], at, static_cast<float*>(batch.out));
      } else if (batch.type == Float::kFloat16) {
        PutHalf(out[i], at, static_cast<std::uint16_t*>(batch.out));
      } else {
        PutBfloat(out[i], at, static_cast<std::uint16_t*>(batch.out));
      }
    }
  }

  void Run() const {
    const Status done = WithPatch(batch, [&](auto patch) {
      for (std::size_t n = 0; n < rows.size(); ++n) RunRow<patch()>(n);
      return Status();
    });
    EXPECT_TRUE(done.ok());
  }
};

}  // namespace

void HostEvent::Set() {
  const std::lock_guard lock(mutex_);
  is_set_ = true;
  changed_.notify_all();
}

void HostEvent::Await() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return is_set_; });
}

HostDevice::HostDevice(const Limits& limits) : limits_(limits), thread_([this] { Work(); }) {}

HostDevice::~HostDevice() {
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void HostDevice::Enqueue(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(work));
  }
  changed_.notify_all();
}

void HostDevice::Work() {
  for (;;) {
    std::function<void()> work;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return ends_ || !queue_.empty(); });
      if (queue_.empty()) return;
      work = std::move(queue_.front());
      queue_.pop_front();
    }
    work();
  }
}

Result<DeviceMemoryRef> HostDevice::Allocate(std::size_t bytes) {
  constexpr std::size_t kAlignment = 256;
  if (*used_ + bytes > limits_.bytes) {
    return Status::ResourceExhausted("there is no memory for " + std::to_string(bytes) +
                                     " bytes; give fewer images");
  }
  *used_ += bytes;
  void* const data =
      std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  return DeviceMemoryRef(std::make_shared<HostMemory>(data, bytes, used_));
}

Status HostDevice::WaitFor(std::uintptr_t event) {
  Enqueue([event] { reinterpret_cast<HostEvent*>(event)->Await(); });
  return {};
}

Status HostDevice::Resize(const CropResizeBatch& batch, std::span<const DeviceMemoryRef> outputs,
                          std::vector<ObjectRef> kept) {
  if (batch.row_count > limits_.rows)
    return Status::ResourceExhausted("there is no room for the plan; give fewer images");
  auto work = std::make_shared<Launch>();
  const auto rows = static_cast<std::size_t>(batch.row_count);
  work->batch = batch;
  work->rows.resize(rows);
  if (Status status = PlanCropResize(batch, work->rows.data()); !status.ok()) return status;
  for (std::size_t n = 0; n < rows; ++n) {
    const auto image = static_cast<std::size_t>(batch.row_images[n]);
    const std::int64_t* const box = batch.boxes[n];
    const std::int64_t bytes = (box[3] - 1) * batch.image_pitches[image] + 3 * box[2];
    work->images.emplace_back(batch.image_offsets[image], static_cast<std::size_t>(bytes));
    const auto [height, width] = batch.sizes[n];
    work->numbers.push_back(
        static_cast<std::size_t>(3 * height * width * batch.temporal_patch_size));
  }
  const auto written = std::make_shared<HostEvent>();
  for (const DeviceMemoryRef& output : outputs)
    static_cast<HostMemory&>(*output).WrittenAt(written);
  auto held = std::make_shared<std::vector<ObjectRef>>(std::move(kept));
  ++launches_;
  Enqueue([work, written, held] {
    work->Run();
    held->clear();
    written->Set();
  });
  return {};
}

}  // namespace vista::cuda
