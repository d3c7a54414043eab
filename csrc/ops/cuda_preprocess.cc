#include "ops/cuda_preprocess.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/canonical.h"
#include "cuda/device_objects.h"
#include "image/normalise.h"
#include "ops/image_op.h"
#include "ops/patch_arguments.h"
#include "sched/result_cache.h"

namespace vista::ops {
namespace {

using cuda::DeviceArray;
using cuda::DeviceMemoryRef;
using cuda::DevicePixels;

// The same with the Op's name before it, unless it is there.
Status Named(const Status& status) {
  if (status.ok() || status.message().starts_with(kCudaPreprocess)) return status;
  return {status.code(), std::string(kCudaPreprocess) + ": " + status.message()};
}

std::size_t SizeOf(cuda::Float type) { return type == cuda::Float::kFloat32 ? 4 : 2; }

struct Call {
  std::shared_ptr<const DevicePixels> image;
  Box box;
  PatchArguments patches;
  cuda::Float type;

  [[nodiscard]] std::size_t numbers() const { return patches.layout.rows() * patches.layout.row; }

  // Calls of one launch: one shape and type of patches, and one normalisation.
  void AppendLaunch(CanonicalWriter* out) const {
    const PreprocessOptions& options = patches.options;
    out->Int(static_cast<int>(type));
    for (const int side : {options.patch_size, options.merge_size, options.temporal_patch_size})
      out->Int(side);
    for (const Channels& channels : {options.mean, options.std}) {
      for (const double value : channels) static_cast<void>(out->Double(value));  // finite
    }
  }

  // By which two calls have one result, however they were written.
  [[nodiscard]] std::string Asked() const {
    std::string asked;
    CanonicalWriter out(&asked);
    out.String(image->hash());
    for (const int edge : {box.left, box.top, box.right, box.bottom}) out.Int(edge);
    out.Int(patches.layout.resized.width);
    out.Int(patches.layout.resized.height);
    AppendLaunch(&out);
    return asked;
  }
};

std::string Shown(Size size) {
  return std::to_string(size.width) + " x " + std::to_string(size.height);
}

Status CheckSizes(Size box, Size resized) {
  if (static_cast<std::int64_t>(resized.width) * resized.height > kDefaultPixelLimit) {
    return Status::ResourceExhausted("the resized image is " + Shown(resized) +
                                     " pixels, over the limit of " +
                                     std::to_string(kDefaultPixelLimit) + "; make it smaller");
  }
  const std::int64_t longer = std::max(box.width, box.height);
  if (longer * std::max(resized.width, resized.height) >= cuda::kMostProduct) {
    return Status::InvalidArgument("a box of " + Shown(box) + " pixels becomes " + Shown(resized) +
                                   "; the product of the longer sides must stay below 2^28");
  }
  return {};
}

std::string PlaceName(int device) {
  return device < 0 ? "the host" : "cuda:" + std::to_string(device);
}

Result<Call> Parse(const Value& given, int device) {
  Arguments arguments(kCudaPreprocess, given);
  std::shared_ptr<const DevicePixels> image =
      arguments.GetObject<DevicePixels>("image", "give a DeviceImage");
  if (image == nullptr) return arguments.Finish();
  const DevicePixels::Place& place = image->place();
  if (place.device != device) {
    return Named(Status::InvalidArgument("the image lies on " + PlaceName(place.device) +
                                         ", and the Op runs on " + PlaceName(device) +
                                         "; copy it there"));
  }
  const Box box = arguments.GetBox("box", {place.width, place.height});
  arguments.Choice("processor", {"qwen_vl"}, 0);
  const auto type =
      static_cast<cuda::Float>(arguments.Choice("dtype", {"float32", "float16", "bfloat16"}, 0));
  Result<PatchArguments> patches = PatchArguments::Parse(&arguments, box.size());
  if (!patches.ok()) return Named(patches.status());
  const PreprocessOptions& options = patches.value().options;
  if (Status status = CheckNormalisation(options.mean, options.std); !status.ok())
    return Named(status);
  if (Status status = CheckSizes(box.size(), patches.value().layout.resized); !status.ok())
    return Named(status);
  return Call{std::move(image), box, std::move(patches).value(), type};
}

// Results by what was asked for, within a budget of bytes of the device.
class Held {
 public:
  explicit Held(std::size_t budget) : cache_(budget) {}

  sched::ResultRef Find(const std::string& asked) {
    const std::lock_guard lock(mutex_);
    return cache_.Find(sched::Identity(asked));
  }
  void Hold(const std::string& asked, sched::ResultRef result, std::size_t bytes) {
    std::vector<sched::ResultRef> evicted;  // let go of after the lock
    const std::lock_guard lock(mutex_);
    cache_.Insert(0, sched::Identity(asked), std::move(result), bytes, &evicted);
  }
  void Clear() {
    std::vector<sched::ResultRef> evicted;
    const std::lock_guard lock(mutex_);
    cache_.Clear(&evicted);
  }

 private:
  std::mutex mutex_;
  sched::ResultCache cache_;
};

// A row of one launch.
struct Row {
  Call call;
  std::string asked;
  DeviceMemoryRef memory;
};

// The arrays that a CropResizeBatch points to.
struct Launch {
  std::vector<std::int64_t> image_offsets, row_images, row_outputs;
  std::vector<std::int32_t> pitches;
  std::vector<std::array<std::int64_t, 4>> boxes;
  std::vector<std::array<std::int64_t, 2>> sizes;
  std::vector<DeviceMemoryRef> outputs;
  std::vector<ObjectRef> kept;
  cuda::CropResizeBatch batch;

  explicit Launch(std::span<const Row> rows) {
    // Images and outputs lie anywhere: all offsets are from the lowest address of each.
    const Row* const lowest = &*std::min_element(
        rows.begin(), rows.end(), [](auto& a, auto& b) { return PixelsOf(a) < PixelsOf(b); });
    // The kernel reads whole vectors, and takes an offset for an address in that.
    const std::int64_t pixels = PixelsOf(*lowest) / kAlignment * kAlignment;
    std::int64_t out = OutputOf(rows.front());
    for (const Row& row : rows) out = std::min(out, OutputOf(row));
    for (const Row& row : rows) Add(row, pixels, out);
    Fill(rows.front().call);
    batch.pixels = reinterpret_cast<const std::uint8_t*>(pixels);
    batch.out = reinterpret_cast<void*>(out);
  }

 private:
  static constexpr std::int64_t kAlignment = 256;

  static std::int64_t PixelsOf(const Row& row) {
    return reinterpret_cast<std::int64_t>(row.call.image->place().data);
  }
  static std::int64_t OutputOf(const Row& row) {
    return reinterpret_cast<std::int64_t>(row.memory->data());
  }

  void Add(const Row& row, std::int64_t pixels, std::int64_t out) {
    const Size size = row.call.patches.layout.resized;
    const Box& box = row.call.box;
    row_images.push_back(static_cast<std::int64_t>(row_images.size()));
    image_offsets.push_back(PixelsOf(row) - pixels);
    pitches.push_back(3 * row.call.image->place().width);
    boxes.push_back({box.left, box.top, box.right, box.bottom});
    sizes.push_back({size.height, size.width});
    row_outputs.push_back((OutputOf(row) - out) / static_cast<std::int64_t>(SizeOf(row.call.type)));
    outputs.push_back(row.memory);
    kept.push_back(row.call.image);
  }

  void Fill(const Call& call) {
    const PreprocessOptions& options = call.patches.options;
    batch.image_offsets = image_offsets.data();
    batch.image_pitches = pitches.data();
    batch.row_images = row_images.data();
    batch.boxes = reinterpret_cast<const std::int64_t (*)[4]>(boxes.data());
    batch.sizes = reinterpret_cast<const std::int64_t (*)[2]>(sizes.data());
    batch.row_outputs = row_outputs.data();
    batch.row_count = static_cast<int>(row_images.size());
    batch.layout = cuda::Layout::kPatches;
    batch.patch_size = options.patch_size;
    batch.merge_size = options.merge_size;
    batch.temporal_patch_size = options.temporal_patch_size;
    batch.rounded = true;
    for (std::size_t c = 0; c < 3; ++c) {
      batch.scale[c] = static_cast<float>(1 / (255 * options.std[c]));
      batch.shift[c] = static_cast<float>(-options.mean[c] / options.std[c]);
    }
    batch.type = call.type;
  }
};

class CudaPreprocess final : public exec::NativeOp {
 public:
  CudaPreprocess(std::shared_ptr<cuda::Device> device, std::size_t budget_bytes,
                 std::size_t max_batch)
      : device_(std::move(device)), held_(budget_bytes) {
    spec_.name = kCudaPreprocess;
    spec_.version = "1";
    spec_.policy.max_batch = max_batch;
    spec_.policy.max_delay = std::chrono::milliseconds(2);
    spec_.concurrency = 1;  // more would wait for the device's lock
  }

  [[nodiscard]] const sched::OpSpec& spec() const override { return spec_; }

  [[nodiscard]] Result<sched::CallTraits> Inspect(const Value& arguments) const override {
    const Result<Call> call = Parse(arguments, device_->index());
    if (!call.ok()) return call.status();
    std::string launch;
    CanonicalWriter writer(&launch);
    call.value().AppendLaunch(&writer);
    const Size resized = call.value().patches.layout.resized;
    return sched::CallTraits{std::move(launch),
                             Megapixels(call.value().box.size()) + 3 * Megapixels(resized)};
  }

  [[nodiscard]] std::vector<Result<Value>> Run(std::span<const Value> calls) const override {
    const std::lock_guard lock(device_mutex_);
    std::unordered_map<std::string, Result<Value>> by_asked;
    std::vector<std::string> asked;
    std::vector<Row> rows;
    for (const Value& arguments : calls) {
      Call call = std::move(Parse(arguments, device_->index())).value();  // as in Inspect
      asked.push_back(call.Asked());
      if (by_asked.contains(asked.back())) continue;
      if (const sched::ResultRef held = held_.Find(asked.back())) {
        by_asked.emplace(asked.back(), *held);
        continue;
      }
      Result<DeviceMemoryRef> memory = Allocate(call.numbers() * SizeOf(call.type));
      by_asked.emplace(asked.back(), memory.ok() ? Result<Value>(Value{}) : memory.status());
      if (memory.ok()) rows.push_back({std::move(call), asked.back(), std::move(memory).value()});
    }
    if (!rows.empty()) Make(rows, &by_asked);
    std::vector<Result<Value>> results;
    results.reserve(calls.size());
    for (const std::string& each : asked) results.push_back(by_asked.at(each));
    return results;
  }

 private:
  // What is held makes room for what is asked for now.
  [[nodiscard]] Result<DeviceMemoryRef> Allocate(std::size_t bytes) const {
    Result<DeviceMemoryRef> memory = device_->Allocate(bytes);
    if (memory.status().code() == StatusCode::kResourceExhausted) {
      held_.Clear();
      memory = device_->Allocate(bytes);
    }
    return memory.ok() ? memory : Named(memory.status());
  }

  // Halves a launch for which there is no memory.
  void Make(std::span<const Row> rows, std::unordered_map<std::string, Result<Value>>* made) const {
    const Status status = Launched(rows);
    if (status.code() == StatusCode::kResourceExhausted && rows.size() > 1) {
      Make(rows.first(rows.size() / 2), made);
      Make(rows.subspan(rows.size() / 2), made);
      return;
    }
    for (const Row& row : rows)
      made->at(row.asked) = status.ok() ? Result<Value>(Given(row)) : Named(status);
  }

  [[nodiscard]] Status Launched(std::span<const Row> rows) const {
    for (const Row& row : rows) {
      const std::uintptr_t ready = row.call.image->place().ready;
      if (ready == 0) continue;
      if (Status status = device_->WaitFor(ready); !status.ok()) return status;
    }
    Launch launch(rows);
    return device_->Resize(launch.batch, launch.outputs, std::move(launch.kept));
  }

  [[nodiscard]] Value Given(const Row& row) const {
    const PatchArguments& patches = row.call.patches;
    const std::vector<std::int64_t> shape = {static_cast<std::int64_t>(patches.layout.rows()),
                                             static_cast<std::int64_t>(patches.layout.row)};
    ObjectRef array =
        std::make_shared<const DeviceArray>(row.call.type, shape, device_->index(), row.memory);
    auto result = std::make_shared<const Value>(
        Value{Value::Dict{patches.Grid(), {"pixel_values", Value{std::move(array)}}}});
    held_.Hold(row.asked, result, row.memory->bytes());
    return *result;
  }

  mutable std::mutex device_mutex_;  // a Device is for one thread at a time
  const std::shared_ptr<cuda::Device> device_;
  mutable Held held_;
  sched::OpSpec spec_;
};

}  // namespace

std::unique_ptr<exec::NativeOp> MakeCudaPreprocess(std::shared_ptr<cuda::Device> device,
                                                   std::size_t budget_bytes,
                                                   std::size_t max_batch) {
  return std::make_unique<CudaPreprocess>(std::move(device), budget_bytes, max_batch);
}

}  // namespace vista::ops
