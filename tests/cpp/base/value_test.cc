#include "base/value.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/canonical.h"
#include "base/tensor.h"

namespace vista {
namespace {

class Nameless final : public Object {
 public:
  Status AppendIdentity(std::string*) const override { return Status::FailedPrecondition("none"); }
  [[nodiscard]] std::size_t bytes() const override { return 1000; }
};

std::string Canonical(const Value& value) {
  std::string out;
  const Status status = AppendCanonical(value, &out);
  EXPECT_TRUE(status.ok()) << status.message();
  return out;
}

Value List(std::vector<Value> items) { return Value{std::move(items)}; }

std::shared_ptr<const Tensor> Floats(std::vector<std::int64_t> shape, std::vector<float> elements) {
  return Tensor::FromVector(DType::kFloat32, std::move(shape), std::move(elements));
}

TEST(AppendCanonical, TellsDifferentValuesApart) {
  const std::vector<Value> different = {
      Value{},
      Value{false},
      Value{true},
      Value{std::int64_t{0}},
      Value{std::int64_t{1}},
      Value{1.0},
      Value{0.0},
      Value{std::numeric_limits<double>::infinity()},
      Value{std::string()},
      Value{std::string("1")},
      Value{Bytes{"1"}},
      Value{Bytes{}},
      List({}),
      List({List({})}),
      List({Value{std::string("ab")}, Value{std::string("c")}}),
      List({Value{std::string("a")}, Value{std::string("bc")}}),
      List({Value{std::int64_t{1}}, List({Value{std::int64_t{2}}})}),
      List({Value{std::int64_t{1}}, Value{std::int64_t{2}}}),
      List({List({Value{std::int64_t{1}}}), Value{std::int64_t{2}}}),
      Value{Value::Dict{}},
      Value{Value::Dict{{"a", Value{}}}},
      Value{Value::Dict{{"a", Value{}}, {"b", Value{}}}},
      Value{Value::Dict{{"a", Value{Value::Dict{{"b", Value{}}}}}}},
      Value{ObjectRef(Floats({2, 1}, {1, 2}))},
      Value{ObjectRef(Floats({1, 2}, {1, 2}))},
      Value{ObjectRef(Floats({2}, {1, 2}))},
      Value{ObjectRef(Floats({2}, {2, 1}))},
      Value{ObjectRef(Tensor::FromVector(DType::kInt32, {2},
                                         std::vector<std::int32_t>{0x3f800000, 0x40000000}))},
  };
  std::set<std::string> encodings;
  for (const Value& value : different) encodings.insert(Canonical(value));
  EXPECT_EQ(encodings.size(), different.size());
}

TEST(AppendCanonical, MakesEqualValuesEqual) {
  EXPECT_EQ(Canonical(Value{0.0}), Canonical(Value{-0.0}));
  EXPECT_EQ(Canonical(Value{ObjectRef(Floats({2}, {1, 2}))}),
            Canonical(Value{ObjectRef(Floats({2}, {1, 2}))}));
}

TEST(AppendCanonical, RefusesNan) {
  std::string out;
  EXPECT_EQ(AppendCanonical(List({Value{std::nan("")}}), &out).code(),
            StatusCode::kInvalidArgument);
}

TEST(AppendCanonical, RefusesTooDeepValuesAndTakesDeepOnes) {
  Value value;
  for (int depth = 0; depth < kMaxValueDepth; ++depth) value = List({std::move(value)});
  std::string out;
  EXPECT_TRUE(AppendCanonical(value, &out).ok());
  EXPECT_EQ(AppendCanonical(List({value}), &out).code(), StatusCode::kInvalidArgument);
}

TEST(AppendCanonical, PassesOnThatAnObjectHasNoIdentity) {
  std::string out;
  const Value value{ObjectRef(std::make_shared<Nameless>())};
  EXPECT_EQ(AppendCanonical(value, &out).code(), StatusCode::kFailedPrecondition);
}

TEST(Value, FindsEntriesByName) {
  const Value value{Value::Dict{{"a", Value{std::int64_t{1}}}, {"c", Value{std::int64_t{3}}}}};
  ASSERT_NE(value.find("c"), nullptr);
  EXPECT_EQ(*value.find("c")->get_if<std::int64_t>(), 3);
  EXPECT_EQ(value.find("b"), nullptr);
  EXPECT_EQ(value.find("d"), nullptr);
  EXPECT_EQ(Value{}.find("a"), nullptr);
}

TEST(Value, CountsTheMemoryOfItsObjects) {
  const Value object{ObjectRef(std::make_shared<Nameless>())};
  EXPECT_EQ(object.bytes(), sizeof(Value) + 1000);
  EXPECT_GE(List({object, object}).bytes(), 2 * object.bytes());
  EXPECT_GE(Value{Bytes{std::string(5000, 'x')}}.bytes(), 5000U);
}

TEST(Tensor, KnowsItsSize) {
  const auto tensor = Floats({2, 3}, std::vector<float>(6));
  EXPECT_EQ(tensor->size(), 6U);
  EXPECT_EQ(tensor->bytes(), 24U);
  EXPECT_EQ(Floats({0, 3}, {})->size(), 0U);
  EXPECT_STREQ(DTypeName(DType::kFloat16), "float16");
  EXPECT_EQ(DTypeSize(DType::kFloat16), 2U);
}

}  // namespace
}  // namespace vista
