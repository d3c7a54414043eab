#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <random>
#include <set>

#include "base/tensor.h"
#include "exec/native_op.h"
#include "ops/describe.h"
#include "values.h"

namespace vista::ops {
namespace {

using testing::Dict;
using testing::Float;
using testing::ImageOf;
using testing::Int;
using testing::List;
using testing::Picture;
using testing::Text;

const exec::NativeOp& OpOf(const std::string& name) {
  static const exec::NativeOps ops = All();
  for (const auto& op : ops) {
    if (op->spec().name == name) return *op;
  }
  throw std::out_of_range(name);
}

Result<Value> Call(const std::string& name, Value::Dict arguments) {
  const Value call = Dict(std::move(arguments));
  const exec::NativeOp& op = OpOf(name);
  if (const auto traits = op.Inspect(call); !traits.ok()) return traits.status();
  return std::move(op.Run({&call, 1}).front());
}

TEST(ImageOps, AreAllThere) {
  std::set<std::string> names;
  for (const auto& op : All()) names.insert(op->spec().name);
  EXPECT_EQ(names, (std::set<std::string>{"image.draw_boxes", "image.encode", "image.preprocess",
                                          "image.resize", "image.rotate", "image.zoom"}));
}

TEST(ImageOps, ZoomCropsAndResizes) {
  const Value image = Picture(40, 30);
  const Value crop =
      Call("image.zoom", {{"image", image}, {"box", List({Int(5), Int(6), Int(15), Int(26)})}})
          .value();
  ASSERT_EQ(ImageOf(crop).size(), (Size{10, 20}));
  EXPECT_EQ(0, std::memcmp(ImageOf(crop).data(), ImageOf(image).view().row(6) + 15, 30));
  const Value zoomed = Call("image.zoom", {{"image", image},
                                           {"box", List({Float(4.6), Int(6), Int(15), Int(26)})},
                                           {"size", List({Int(80), Int(60)})},
                                           {"filter", Text("lanczos")}})
                           .value();
  EXPECT_EQ(ImageOf(zoomed).size(), (Size{80, 60}));
}

TEST(ImageOps, ABatchGivesWhatSingleCallsGive) {
  std::vector<Value> calls;
  for (int i = 1; i < 9; ++i) {
    calls.push_back(Dict({{"image", Picture(20 + i, 30)},
                          {"box", List({Int(i), Int(2), Int(i + 9), Int(20)})},
                          {"size", List({Int(3 * i), Int(11)})}}));
  }
  calls.push_back(Dict({{"image", Int(5)}}));
  const exec::NativeOp& op = OpOf("image.zoom");
  const std::vector<Result<Value>> together = op.Run(calls);
  ASSERT_EQ(together.size(), calls.size());
  for (std::size_t i = 0; i + 1 < calls.size(); ++i) {
    const Result<Value> alone = std::move(op.Run({&calls[i], 1}).front());
    EXPECT_EQ(ImageOf(alone.value()).hash(), ImageOf(together[i].value()).hash());
  }
  EXPECT_FALSE(together.back().ok());
}

TEST(ImageOps, LargerCallsSayThatTheyAreLarger) {
  const exec::NativeOp& op = OpOf("image.zoom");
  const auto size_of = [&](int side) {
    return op.Inspect(Dict({{"image", Picture(10, 10)}, {"size", List({Int(side), Int(side)})}}))
        .value()
        .size;
  };
  EXPECT_GT(size_of(400), size_of(40));
}

TEST(ImageOps, PreprocessGivesPatchesAndGrid) {
  const Value result = Call("image.preprocess", {{"image", Picture(112, 56)}}).value();
  const auto& tensor =
      dynamic_cast<const Tensor&>(**result.find("pixel_values")->get_if<ObjectRef>());
  EXPECT_EQ(tensor.dtype(), DType::kFloat32);
  EXPECT_EQ(tensor.shape(), (std::vector<std::int64_t>{4 * 8, 3 * 2 * 14 * 14}));
  const auto* grid = result.find("grid_thw")->get_if<Value::List>();
  ASSERT_NE(grid, nullptr);
  EXPECT_EQ(*(*grid)[1].get_if<std::int64_t>(), 4);
  EXPECT_EQ(*(*grid)[2].get_if<std::int64_t>(), 8);
}

TEST(ImageOps, EncodeGivesBytes) {
  const Value png = Call("image.encode", {{"image", Picture(9, 9)}}).value();
  EXPECT_EQ(png.get_if<Bytes>()->data.substr(1, 3), "PNG");
  const Value jpeg =
      Call("image.encode",
           {{"image", Picture(9, 9)}, {"format", Text("jpeg")}, {"quality", Int(50)}})
          .value();
  EXPECT_EQ(jpeg.get_if<Bytes>()->data.substr(0, 2), "\xff\xd8");
}

TEST(ImageOps, RotateTakesAnAngleAndRefusesOneWithoutMeaning) {
  EXPECT_EQ(
      ImageOf(Call("image.rotate", {{"image", Picture(9, 5)}, {"angle", Int(90)}}).value()).size(),
      (Size{5, 9}));
  for (const Value& angle :
       {Float(1e30), Float(std::nan("")), Text("90"), Value{true}, Value{}, List({})}) {
    const Status status =
        Call("image.rotate", {{"image", Picture(9, 5)}, {"angle", angle}}).status();
    EXPECT_EQ(status.code(), StatusCode::kInvalidArgument);
    EXPECT_NE(status.message().find("angle is"), std::string::npos) << status.message();
  }
}

TEST(ImageOps, DrawBoxesTakesOneBoxOrMany) {
  const Value box = List({Int(1), Int(1), Int(6), Int(6)});
  for (const Value& boxes : {box, List({box}), List({box, box})}) {
    const Value drawn =
        Call("image.draw_boxes",
             {{"image", Picture(9, 9)}, {"boxes", boxes}, {"color", Text("#010203")}})
            .value();
    EXPECT_EQ(ImageOf(drawn).view().row(1)[3], 1);
  }
  EXPECT_TRUE(Call("image.draw_boxes", {{"image", Picture(9, 9)}, {"boxes", List({})}}).ok());
  EXPECT_FALSE(
      Call("image.draw_boxes", {{"image", Picture(9, 9)}, {"boxes", List({box, Int(3)})}}).ok());
  EXPECT_FALSE(Call("image.draw_boxes", {{"image", Picture(9, 9)}}).ok());
}

// Random values under the right names: whatever comes, there is a result or a typed error.
TEST(ImageOps, NoValueCrashesThem) {
  const std::map<std::string, std::vector<std::string>> names = {
      {"image.zoom", {"image", "box", "size", "filter"}},
      {"image.resize", {"image", "size", "filter", "source"}},
      {"image.rotate", {"image", "angle", "filter", "expand", "fill"}},
      {"image.draw_boxes", {"image", "boxes", "color", "width"}},
      {"image.encode", {"image", "format", "quality", "subsampling", "level"}},
      {"image.preprocess",
       {"image", "box", "patch_size", "merge_size", "temporal_patch_size", "min_pixels",
        "max_pixels", "mean", "std"}},
  };
  std::mt19937_64 random(7);
  const Value image = Picture(17, 13);
  const auto any = [&](auto self, int depth) -> Value {
    switch (random() % (depth > 2 ? 9 : 11)) {
      case 0:
        return Value{};
      case 1:
        return Value{random() % 2 == 0};
      case 2:
        return Int(static_cast<std::int64_t>(random() % 40));
      case 3:
        return Int(static_cast<std::int64_t>(random()));
      case 4:
        return Float(static_cast<double>(random() % 4000) / 100);
      case 5:
        return Float(std::bit_cast<double>(random()));
      case 6:
        return Text(std::vector<std::string>{"", "box", "bicubic", "png", "jpeg", "4:4:4",
                                             "#102030", "\xff\xfe"}[random() % 8]);
      case 7:
        return Value{Bytes{"bytes"}};
      case 8:
        return image;
      default: {
        Value::List list;
        const std::size_t sizes[] = {0, 1, 2, 2, 3, 3, 4, 4, 4, 9};
        for (std::size_t n = sizes[random() % 10]; n > 0; --n)
          list.push_back(self(self, depth + 1));
        return Value{std::move(list)};
      }
    }
  };
  int succeeded = 0;
  for (int i = 0; i < 20000; ++i) {
    const auto entry =
        std::next(names.begin(), static_cast<std::ptrdiff_t>(random() % names.size()));
    Value::Dict arguments;
    for (const std::string& name : entry->second) {
      // A call that would make a picture of hundreds of megapixels is right, but slow.
      const bool large = name == "size" || name.ends_with("pixels") || name.ends_with("size");
      if (name == "image")
        arguments.emplace_back(name, random() % 10 > 0 ? image : any(any, 0));
      else if (large && random() % 2 == 0)
        arguments.emplace_back(name, List({Int(static_cast<std::int64_t>(random() % 30)),
                                           Int(static_cast<std::int64_t>(random() % 30))}));
      else if (!large && random() % 2 == 0)
        arguments.emplace_back(name, any(any, 0));
    }
    const Result<Value> result = Call(entry->first, std::move(arguments));
    succeeded += result.ok() ? 1 : 0;
    if (!result.ok()) {
      ASSERT_TRUE(result.status().code() == StatusCode::kInvalidArgument ||
                  result.status().code() == StatusCode::kResourceExhausted)
          << result.status().message();
      ASSERT_FALSE(result.status().message().empty());
    }
  }
  EXPECT_GT(succeeded, 1000);
}

}  // namespace
}  // namespace vista::ops
