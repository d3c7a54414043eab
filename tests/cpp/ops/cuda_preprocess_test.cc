// cuda.preprocess on a device of the host's memory, which computes as the CUDA kernel does.
// tests/devices runs the Op on a GPU.
#include "ops/cuda_preprocess.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/tensor.h"
#include "cuda/device_objects.h"
#include "cuda/warp.h"
#include "host_device.h"
#include "values.h"

namespace vista::ops {
namespace {

using cuda::DeviceArray;
using cuda::DevicePixels;
using cuda::HostDevice;
using cuda::HostEvent;
using testing::Dict;
using testing::Float;
using testing::ImageOf;
using testing::Int;
using testing::List;
using testing::Picture;
using testing::Text;

constexpr double kLevel = 1 / 255.0 / 0.26;  // one grey level, normalised
constexpr std::size_t kBudget = std::size_t{1} << 30;

// A picture's pixels as those of a device; `ready` comes before they may be read.
Value Placed(const Value& picture, HostEvent* ready = nullptr, int device = -1) {
  const auto image = std::dynamic_pointer_cast<const Image>(*picture.get_if<ObjectRef>());
  const DevicePixels::Place place = {image->data(), image->width(), image->height(), device,
                                     reinterpret_cast<std::uintptr_t>(ready)};
  return Value{ObjectRef(std::make_shared<DevicePixels>(image->hash().Hex(), place, image))};
}

struct Fixture {
  explicit Fixture(const HostDevice::Limits& limits = {}, std::size_t budget = kBudget)
      : device(std::make_shared<HostDevice>(limits)), op(MakeCudaPreprocess(device, budget, 32)) {}

  [[nodiscard]] std::vector<Result<Value>> Run(const std::vector<Value>& calls) const {
    for (const Value& call : calls) EXPECT_TRUE(op->Inspect(call).ok());
    return op->Run(calls);
  }

  std::shared_ptr<HostDevice> device;
  std::unique_ptr<exec::NativeOp> op;
};

const DeviceArray& ArrayOf(const Result<Value>& result) {
  return dynamic_cast<const DeviceArray&>(
      **result.value().find("pixel_values")->get_if<ObjectRef>());
}

std::vector<float> FloatsOf(const Result<Value>& result) {
  const DeviceArray& array = ArrayOf(result);
  const auto reading = array.memory()->ReadOn(0);
  EXPECT_TRUE(reading.ok());
  std::vector<float> values(array.memory()->bytes() / sizeof(float));
  std::memcpy(values.data(), array.memory()->data(), array.memory()->bytes());
  return values;
}

Result<Value> OnHost(Value call) {
  for (const auto& op : All()) {
    if (op->spec().name == "image.preprocess") return std::move(op->Run({&call, 1}).front());
  }
  return Status::NotFound("image.preprocess");
}

void ExpectAsOnHost(const Result<Value>& got, const Value& call) {
  ASSERT_TRUE(got.ok()) << got.status().message();
  const Result<Value> want = OnHost(call);
  ASSERT_TRUE(want.ok()) << want.status().message();
  const auto& tensor =
      dynamic_cast<const Tensor&>(**want.value().find("pixel_values")->get_if<ObjectRef>());
  EXPECT_EQ(ArrayOf(got).shape(), tensor.shape());
  std::string grids[2];
  ASSERT_TRUE(AppendCanonical(*got.value().find("grid_thw"), &grids[0]).ok());
  ASSERT_TRUE(AppendCanonical(*want.value().find("grid_thw"), &grids[1]).ok());
  EXPECT_EQ(grids[0], grids[1]);
  const std::vector<float> values = FloatsOf(got);
  ASSERT_EQ(values.size(), tensor.size());
  const auto* const wanted = static_cast<const float*>(tensor.data());
  std::size_t off = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    ASSERT_LE(std::abs(values[i] - wanted[i]), kLevel + 1e-5) << i;
    off += std::abs(values[i] - wanted[i]) > 1e-5;
  }
  EXPECT_LE(off, values.size() / 100);
}

TEST(CudaPreprocess, GivesTheNumbersOfImagePreprocessInOneLaunch) {
  const Fixture here;
  const Value pictures[] = {Picture(150, 40), Picture(61, 130), Picture(29, 29)};
  const Value box = List({Float(3.5), Int(2), Int(28), Float(27.2)});
  std::vector<Value> calls;
  std::vector<Value> on_host;
  for (const Value& picture : pictures) {
    on_host.push_back(Dict({{"image", picture}}));
    calls.push_back(Dict({{"image", Placed(picture)}}));
    on_host.push_back(Dict({{"image", picture}, {"box", box}}));
    calls.push_back(Dict({{"image", Placed(picture)}, {"box", box}}));
  }
  const std::vector<Result<Value>> results = here.Run(calls);
  for (std::size_t i = 0; i < calls.size(); ++i) ExpectAsOnHost(results[i], on_host[i]);
  EXPECT_EQ(here.device->launches(), 1);
}

TEST(CudaPreprocess, OtherPatchesAndNumbersAreOtherLaunches) {
  const Fixture here;
  const Value picture = Picture(64, 48);
  const Value half = List({Float(0.5), Float(0.5), Float(0.5)});
  const Value options[] = {Dict({{"patch_size", Int(16)}, {"mean", half}, {"std", half}}),
                           Dict({{"patch_size", Int(10)}, {"merge_size", Int(1)}}),
                           Dict({{"temporal_patch_size", Int(1)}}), Dict({})};
  std::set<std::string> keys;
  for (const Value& each : options) {
    Value::Dict on_host = *each.get_if<Value::Dict>();
    Value::Dict there = on_host;
    on_host.emplace_back("image", picture);
    there.emplace_back("image", Placed(picture));
    const Value call = Dict(there);
    keys.insert(here.op->Inspect(call).value().compatibility);
    ExpectAsOnHost(here.Run({call}).front(), Dict(on_host));
  }
  EXPECT_EQ(keys.size(), std::size(options));
}

TEST(CudaPreprocess, HalvesAreTheRoundedFloats) {
  const Fixture here;
  const Value picture = Placed(Picture(40, 40));
  const std::vector<float> full = FloatsOf(here.Run({Dict({{"image", picture}})}).front());
  for (const char* dtype : {"float16", "bfloat16"}) {
    const auto result = here.Run({Dict({{"image", picture}, {"dtype", Text(dtype)}})});
    const DeviceArray& array = ArrayOf(result.front());
    ASSERT_TRUE(array.memory()->ReadOn(0).ok());
    ASSERT_EQ(array.memory()->bytes(), 2 * full.size());
    const auto* const halves = static_cast<const std::uint16_t*>(array.memory()->data());
    const bool brain = array.type() == cuda::Float::kBfloat16;
    for (std::size_t i = 0; i < full.size(); ++i) {
      const float value = brain ? std::bit_cast<float>(std::uint32_t{halves[i]} << 16)
                                : cuda::on_host::FloatOf(halves[i]);
      ASSERT_NEAR(value, full[i], std::abs(full[i]) / (brain ? 256 : 2048) + 1e-6) << i;
    }
  }
}

TEST(CudaPreprocess, EqualCallsHaveOneResultHoweverTheyAreWritten) {
  const Fixture here;
  const Value picture = Placed(Picture(47, 33));
  const auto results =
      here.Run({Dict({{"image", picture}}), Dict({{"image", picture}, {"patch_size", Float(14)}}),
                Dict({{"image", picture}, {"box", List({Int(0), Int(0), Int(47), Int(33)})}})});
  const auto again = here.Run({Dict({{"image", picture}, {"processor", Text("qwen_vl")}})});
  EXPECT_EQ(here.device->launches(), 1);
  for (const Result<Value>& result : {results[1], results[2], again[0]})
    EXPECT_EQ(&ArrayOf(result), &ArrayOf(results[0]));
  EXPECT_FALSE(results[0].value().MayBeKept());
}

TEST(CudaPreprocess, WhatIsOverTheBudgetIsNotHeld) {
  const Fixture here({}, 1000);
  const Value call = Dict({{"image", Placed(Picture(47, 33))}});
  static_cast<void>(here.Run({call}));
  static_cast<void>(here.Run({call}));
  EXPECT_EQ(here.device->launches(), 2);
}

TEST(CudaPreprocess, GivesItsResultBeforeTheWorkIsDoneAndKeepsTheImageUntilThen) {
  const Fixture here;
  HostEvent ready;
  const Value picture = Picture(30, 30);
  auto pixels = Placed(picture, &ready);
  const std::weak_ptr<const Object> kept = *pixels.get_if<ObjectRef>();
  std::vector<Value> calls;
  calls.push_back(Dict({{"image", std::move(pixels)}}));
  const auto results = here.Run(calls);
  calls.clear();
  EXPECT_FALSE(kept.expired());
  ready.Set();
  ExpectAsOnHost(results.front(), Dict({{"image", picture}}));
  EXPECT_TRUE(kept.expired());
}

TEST(CudaPreprocess, WithoutMemoryACallFailsAloneAndWhatIsHeldMakesRoom) {
  const Fixture here({.bytes = sizeof(float) * 3 * 2 * 56 * 56});  // one of the small results
  const Value small = Dict({{"image", Placed(Picture(56, 56))}});
  const Value box = List({Int(0), Int(0), Int(56), Int(56)});
  const Value other = Dict({{"image", Placed(Picture(60, 60))}, {"box", box}});
  const Value large = Dict({{"image", Placed(Picture(560, 560))}});
  EXPECT_TRUE(here.Run({small}).front().ok());
  EXPECT_TRUE(here.Run({other}).front().ok());
  EXPECT_EQ(here.device->launches(), 2);
  const auto results = here.Run({large, small});
  ASSERT_FALSE(results[0].ok());
  EXPECT_EQ(results[0].status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(results[0].status().message().find("cuda.preprocess: there is no memory for"), 0U);
  EXPECT_TRUE(results[1].ok());
  // What somebody holds makes no room.
  EXPECT_FALSE(here.Run({other}).front().ok());
}

TEST(CudaPreprocess, ALaunchWithoutRoomIsHalved) {
  const Fixture here({.rows = 2});
  std::vector<Value> calls;
  std::vector<Value> on_host;
  for (const int width : {30, 40, 50, 60, 70}) {
    on_host.push_back(Dict({{"image", Picture(width, 30)}}));
    calls.push_back(Dict({{"image", Placed(Picture(width, 30))}}));
  }
  const auto results = here.Run(calls);
  EXPECT_EQ(here.device->launches(), 3);
  for (std::size_t i = 0; i < calls.size(); ++i) ExpectAsOnHost(results[i], on_host[i]);
  const Fixture none({.rows = 0});
  const auto refused = none.Run({calls[0], calls[1]});
  for (const Result<Value>& each : refused)
    EXPECT_EQ(each.status().code(), StatusCode::kResourceExhausted);
}

TEST(CudaPreprocess, SaysWhatIsWrongWithACall) {
  const Fixture here;
  const Value placed = Placed(Picture(60, 40));
  const auto refusal = [&](Value::Dict arguments) {
    const auto traits = here.op->Inspect(Dict(std::move(arguments)));
    return traits.ok() ? std::string() : traits.status().message();
  };
  const auto with = [&](const char* name, Value value) {
    return refusal({{"image", placed}, {name, std::move(value)}});
  };
  EXPECT_EQ(refusal({}), "cuda.preprocess: image is None; give a DeviceImage");
  EXPECT_NE(refusal({{"image", Picture(4, 4)}}).find("; give a DeviceImage"), std::string::npos);
  EXPECT_EQ(
      refusal({{"image", Placed(Picture(4, 4), nullptr, 1)}}),
      "cuda.preprocess: the image lies on cuda:1, and the Op runs on the host; copy it there");
  EXPECT_NE(with("box", List({Int(70), Int(0), Int(80), Int(9)})).find("lies outside"),
            std::string::npos);
  EXPECT_NE(with("processor", Text("clip")).find("use one of 'qwen_vl'"), std::string::npos);
  EXPECT_NE(with("dtype", Text("int8")).find("dtype is"), std::string::npos);
  EXPECT_NE(with("patch_size", Int(0)).find("patch_size is 0"), std::string::npos);
  EXPECT_NE(with("colour", Int(1)).find("colour"), std::string::npos);
  EXPECT_NE(with("std", List({Int(0), Int(1), Int(1)})).find("std"), std::string::npos);
  EXPECT_EQ(
      refusal(
          {{"image", placed}, {"min_pixels", Int(178'956'970)}, {"max_pixels", Int(178'956'970)}})
          .find("cuda.preprocess: the resized image is"),
      0U);
  EXPECT_EQ(refusal({{"image", Placed(Picture(30'000, 300))},
                     {"min_pixels", Int(9'000'000)},
                     {"max_pixels", Int(9'000'000)}})
                .find("cuda.preprocess: a box of 30000 x 300 pixels becomes"),
            0U);
}

}  // namespace
}  // namespace vista::ops
