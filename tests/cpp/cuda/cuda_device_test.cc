// What cuda_device.cu asks of CUDA, on a GPU that does everything as late as it may (fake_cuda.h).
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "cuda/device_library.h"
#include "fake_cuda.h"

extern "C" vista::Result<std::shared_ptr<vista::cuda::Device>> vista_open_device_1(
    int index, std::size_t idle_bytes, std::size_t batch_bytes);

namespace vista::cuda {
namespace {

constexpr std::size_t kBytes = 1024;

class Nothing final : public Object {
 public:
  Status AppendIdentity(std::string*) const override { return {}; }
  [[nodiscard]] std::size_t bytes() const override { return 0; }
};

class CudaDeviceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    fake_cuda::Limit({});
    static_cast<void>(fake_cuda::TakeWrongs());
    device_ = vista_open_device_1(0, 1 << 20, sizeof(CropResizeBatch)).value();
  }
  void TearDown() override {
    device_.reset();
    EXPECT_EQ(fake_cuda::Existing(), expected_);
    EXPECT_EQ(fake_cuda::TakeWrongs(), std::vector<std::string>());
    EXPECT_EQ(fake_cuda::Depth(), 0);
    fake_cuda::FreeLost();
  }

  // Writes 3 * marker at the beginning of `to`.
  Status Write(const DeviceMemoryRef& to, std::int64_t marker, std::vector<ObjectRef> kept = {}) {
    const std::int64_t offset = 0;
    const std::int32_t pitch = 1 << 20;
    const std::int64_t box[1][4] = {{marker, 0, marker + 4, 4}};
    const std::int64_t size[1][2] = {{28, 28}};
    CropResizeBatch batch;
    batch.image_offsets = &offset;
    batch.image_pitches = &pitch;
    batch.row_images = &offset;
    batch.boxes = box;
    batch.sizes = size;
    batch.row_count = 1;
    batch.layout = Layout::kPatches;
    batch.out = to->data();
    return device_->Resize(batch, {&to, 1}, std::move(kept));
  }

  DeviceMemoryRef Written(std::int64_t marker) {
    const DeviceMemoryRef memory = device_->Allocate(kBytes).value();
    EXPECT_TRUE(Write(memory, marker).ok());
    return memory;
  }

  static std::uintptr_t HandleOf(cudaStream_t stream) {
    return reinterpret_cast<std::uintptr_t>(stream);
  }
  // Has `stream` read the memory's beginning, when its turn comes.
  static void Read(cudaStream_t stream, const DeviceMemoryRef& memory, std::int64_t* to) {
    fake_cuda::Give(stream, [from = memory->data(), to] { std::memcpy(to, from, sizeof(*to)); });
  }

  std::shared_ptr<Device> device_;
  fake_cuda::Counts expected_;  // what exists when the device has gone
  const cudaStream_t reader_ = fake_cuda::NewStream();
};

TEST(OpenCudaDevice, RefusesOtherVersionsAndGpusThatAreNotThere) {
  const auto version = vista_open_device_1(0, 0, sizeof(CropResizeBatch) - 8);
  EXPECT_EQ(version.status().code(), StatusCode::kNotFound);
  const auto index = vista_open_device_1(1, 0, sizeof(CropResizeBatch));
  EXPECT_EQ(index.status().message(),
            "CUDA's driver gives no context on cuda:1 (its error 101); check nvidia-smi");
  EXPECT_EQ(fake_cuda::TakeWrongs(), std::vector<std::string>());
}

TEST_F(CudaDeviceTest, AReaderSeesWhatWasWrittenThoughTheMemoryGoesFirst) {
  std::int64_t seen = 0;
  {
    const DeviceMemoryRef memory = Written(7);
    const auto reading = memory->ReadOn(HandleOf(reader_));
    ASSERT_TRUE(reading.ok());
    Read(reader_, memory, &seen);
  }
  EXPECT_EQ(seen, 0);
  device_.reset();  // all that was given to it runs, the giving back of the memory too
  EXPECT_EQ(seen, 21);
}

TEST_F(CudaDeviceTest, ReadingsEndWithWhatTheyGave) {
  std::int64_t seen = 0;
  const cudaStream_t other = fake_cuda::NewStream();
  {
    const DeviceMemoryRef memory = Written(5);
    for (const cudaStream_t stream : {reader_, other, reader_}) {
      const auto reading = memory->ReadOn(HandleOf(stream));
      ASSERT_TRUE(reading.ok());
      Read(stream, memory, &seen);
    }
  }
  bool later = false;
  fake_cuda::Give(reader_, [&] { later = true; });
  device_.reset();
  EXPECT_EQ(seen, 15);
  EXPECT_FALSE(later);  // what a reader was given after its reading holds nothing up
}

TEST_F(CudaDeviceTest, MemoryThatACapturedGraphReadsNeverGoesBack) {
  const cudaStream_t capturing = fake_cuda::NewStream();
  const DeviceMemoryRef memory = Written(1);
  const auto reading = memory->ReadOn(HandleOf(capturing));
  fake_cuda::BeginCapture(capturing);
  expected_.allocations = 1;
}

TEST_F(CudaDeviceTest, ALaunchDoesNotWaitForReadersOfOtherMemory) {
  bool has_read = false;
  {
    const DeviceMemoryRef memory = Written(1);
    const auto reading = memory->ReadOn(HandleOf(reader_));
    fake_cuda::Give(reader_, [&] { has_read = true; });
  }
  std::int64_t seen = 0;
  const cudaStream_t other = fake_cuda::NewStream();
  DeviceMemoryRef memory = Written(2);
  {
    const auto reading = memory->ReadOn(HandleOf(other));
    Read(other, memory, &seen);
  }
  fake_cuda::Run(other);
  EXPECT_EQ(seen, 6);
  EXPECT_FALSE(has_read);
  memory.reset();
  device_.reset();
  EXPECT_TRUE(has_read);
}

TEST_F(CudaDeviceTest, LaunchesHavePlansOfTheirOwn) {
  std::vector<DeviceMemoryRef> memories;
  for (int n = 0; n < 100; ++n) memories.push_back(Written(n));
  std::array<std::int64_t, 100> seen = {};
  for (std::size_t n = 0; n < seen.size(); ++n) {
    const auto reading = memories[n]->ReadOn(HandleOf(reader_));
    Read(reader_, memories[n], &seen[n]);
  }
  memories.clear();
  device_.reset();
  for (std::size_t n = 0; n < seen.size(); ++n)
    EXPECT_EQ(seen[n], static_cast<std::int64_t>(3 * n));
}

TEST_F(CudaDeviceTest, WaitsForWhatMakesItsInput) {
  bool is_there = false;
  fake_cuda::Give(reader_, [&] { is_there = true; });
  const cudaEvent_t ready = fake_cuda::RecordOn(reader_);
  ASSERT_TRUE(device_->WaitFor(reinterpret_cast<std::uintptr_t>(ready)).ok());
  const DeviceMemoryRef memory = Written(1);
  EXPECT_FALSE(is_there);
  device_.reset();
  EXPECT_TRUE(is_there);
}

TEST_F(CudaDeviceTest, KeepsWhatItReadsUntilItHasRun) {
  auto object = std::make_shared<const Nothing>();
  const std::weak_ptr<const Object> kept = object;
  const DeviceMemoryRef memory = device_->Allocate(kBytes).value();
  ASSERT_TRUE(Write(memory, 1, {std::move(object)}).ok());
  EXPECT_FALSE(kept.expired());
  device_.reset();
  EXPECT_TRUE(kept.expired());
}

TEST_F(CudaDeviceTest, ALaunchThatFailsLeavesNothingBehind) {
  const DeviceMemoryRef memory = device_->Allocate(kBytes).value();
  std::memset(memory->data(), 0, kBytes);
  for (const bool launches : {false, true}) {
    fake_cuda::Limit({.launches = launches, .host_functions = false});
    auto object = std::make_shared<const Nothing>();
    const std::weak_ptr<const Object> kept = object;
    EXPECT_EQ(Write(memory, 2, {std::move(object)}).code(), StatusCode::kInternal);
    EXPECT_TRUE(kept.expired());
    // What was launched has run by then.
    std::int64_t seen = 0;
    std::memcpy(&seen, memory->data(), sizeof(seen));
    EXPECT_EQ(seen, launches ? 6 : 0);
  }
  fake_cuda::Limit({});
  EXPECT_TRUE(Write(memory, 1).ok());
}

TEST_F(CudaDeviceTest, WithoutMemoryItSaysSoAndGoesOn) {
  DeviceMemoryRef memory = device_->Allocate(kBytes).value();
  fake_cuda::Limit({.pool = kBytes});
  const auto more = device_->Allocate(kBytes);
  EXPECT_EQ(more.status().message(),
            "there is no memory for 1024 bytes on cuda:0; give smaller or fewer images at a time, "
            "or free what torch keeps for later (torch.cuda.empty_cache())");
  memory.reset();
  memory = device_->Allocate(kBytes).value();  // what goes back has not come to its turn yet
  fake_cuda::Limit({});
  EXPECT_TRUE(Write(memory, 1).ok());
}

}  // namespace
}  // namespace vista::cuda
