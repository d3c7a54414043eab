#include "ops/arguments.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/tensor.h"
#include "ops/describe.h"
#include "values.h"

namespace vista::ops {
namespace {

using testing::Dict;
using testing::Float;
using testing::Int;
using testing::List;
using testing::Picture;
using testing::Text;

TEST(Describe, SpeaksPython) {
  EXPECT_EQ(Describe(Value{}), "None");
  EXPECT_EQ(Describe(Value{true}), "True");
  EXPECT_EQ(Describe(Int(-3)), "-3");
  EXPECT_EQ(Describe(Float(2)), "2.0");
  EXPECT_EQ(Describe(Float(1e30)), "1e+30");
  EXPECT_EQ(Describe(Float(-std::numeric_limits<double>::infinity())), "-inf");
  EXPECT_EQ(Describe(Text("a")), "'a'");
  EXPECT_EQ(Describe(Value{Bytes{"xyz"}}), "3 bytes");
  EXPECT_EQ(Describe(List({Int(1), Text("b")})), "[1, 'b']");
  EXPECT_EQ(Describe(Dict({{"k", Int(1)}})), "{'k': 1}");
  EXPECT_EQ(Describe(Picture(4, 3)), "an Image of 4 x 3");
  const ObjectRef tensor = Tensor::FromVector(DType::kFloat32, {1, 2}, std::vector<float>{1, 2});
  EXPECT_EQ(Describe(Value{tensor}), "an array of float32 [1, 2]");
}

TEST(Describe, StaysShort) {
  EXPECT_LT(Describe(Text(std::string(1 << 20, 'x'))).size(), 100u);
  EXPECT_LT(Describe(Value{Value::List(100000, Text(std::string(1000, 'y')))}).size(), 600u);
  Value nested = Int(1);
  for (int i = 0; i < 500; ++i) nested = List({nested});
  EXPECT_LT(Describe(nested).size(), 100u);
}

TEST(Describe, CutsBetweenCharacters) {
  std::string umlauts;
  for (int i = 0; i < 100; ++i) umlauts += "a\u00e4";
  const std::string text = Describe(Text(umlauts));
  const std::string kept = text.substr(1, text.size() - 5);
  EXPECT_EQ(kept.size() % 3 == 2, false) << "half a character was kept";
}

Status BoxStatus(Value box) {
  const Value call = Dict({{"box", std::move(box)}});
  Arguments arguments("op", call);
  arguments.GetBox("box", {100, 80});
  return arguments.Finish();
}

TEST(Arguments, TakeABoxOfAnyNumbers) {
  EXPECT_TRUE(BoxStatus(List({Int(1), Float(2.5), Int(30), Float(40)})).ok());
  EXPECT_TRUE(BoxStatus(Value{}).ok());
}

TEST(Arguments, NameTheArgumentItsValueAndTheRemedy) {
  const Value wrong[] = {Int(3),
                         Text("1,2,3,4"),
                         List({Int(1), Int(2), Int(3)}),
                         Value{true},
                         Value{Bytes{"1234"}},
                         List({Int(1), Int(2), Int(3), Text("4")}),
                         List({Int(1), Int(2), Int(3), Value{true}}),
                         List({List({}), List({}), List({}), List({})}),
                         Dict({{"left", Int(1)}}),
                         Picture(2, 2)};
  for (const Value& value : wrong) {
    const Status status = BoxStatus(value);
    ASSERT_EQ(status.code(), StatusCode::kInvalidArgument) << Describe(value);
    EXPECT_NE(status.message().find("op: box is " + Describe(value)), std::string::npos)
        << status.message();
    EXPECT_NE(status.message().find("give four numbers"), std::string::npos) << status.message();
  }
  EXPECT_FALSE(BoxStatus(List({Int(5), Int(5), Int(1), Int(9)})).ok());
  EXPECT_FALSE(BoxStatus(List({Int(0), Int(0), Float(std::nan("")), Int(9)})).ok());
}

TEST(Arguments, ReportTheFirstFailure) {
  const Value call = Dict({{"a", Text("x")}, {"b", Text("y")}});
  Arguments arguments("op", call);
  EXPECT_EQ(arguments.Int("b", 7, 0, 9), 7);
  EXPECT_EQ(arguments.Number("a", 0.5), 0.5);
  EXPECT_NE(arguments.Finish().message().find("op: b is 'y'"), std::string::npos);
}

TEST(Arguments, KnowWhatTheOpTakes) {
  const Value call = Dict({{"a", Int(1)}, {"sise", Int(2)}});
  Arguments arguments("op", call);
  arguments.Int("a", 0, 0, 9);
  arguments.GetSize("size", {1, 1});
  EXPECT_EQ(arguments.Finish().message(), "op has no argument 'sise'; it takes a, size");
}

TEST(Arguments, TakeWholeFloatsForInts) {
  const Value call =
      Dict({{"a", Float(4)}, {"b", Float(4.5)}, {"c", Float(1e300)}, {"d", Int(10)}});
  Arguments arguments("op", call);
  EXPECT_EQ(arguments.Int("a", 0, 0, 9), 4);
  EXPECT_TRUE(arguments.Finish().message().find("has no argument") != std::string::npos);
  for (const char* name : {"b", "c", "d"}) {
    Arguments wrong("op", call);
    EXPECT_EQ(wrong.Int(name, 3, 0, 9), 3);
    EXPECT_NE(wrong.Finish().message().find("whole number from 0 to 9"), std::string::npos);
  }
}

TEST(Arguments, ReadColours) {
  const Value call = Dict({{"list", List({Int(1), Int(2), Float(3)})},
                           {"text", Text("#0aFF10")},
                           {"many", List({List({Int(1), Int(2), Int(3)}), Text("#ffffff")})}});
  Arguments arguments("op", call);
  EXPECT_EQ(arguments.GetColor("list", {}), (Color{1, 2, 3}));
  EXPECT_EQ(arguments.GetColor("text", {}), (Color{10, 255, 16}));
  EXPECT_EQ(arguments.Colors("list", 2, {}), (std::vector<Color>{{1, 2, 3}, {1, 2, 3}}));
  EXPECT_EQ(arguments.Colors("many", 2, {}), (std::vector<Color>{{1, 2, 3}, {255, 255, 255}}));
  EXPECT_TRUE(arguments.Finish().ok());
  arguments.Colors("many", 3, {});
  EXPECT_FALSE(arguments.Finish().ok());
  for (const Value& wrong :
       {Text("red"), Text("#12345"), Text("#12345g"), List({Int(1), Int(2)}), Int(5),
        List({Int(1), Int(2), Int(256)}), List({Int(1), Int(-2), Int(2)})}) {
    const Value bad = Dict({{"color", wrong}});
    Arguments reader("op", bad);
    reader.GetColor("color", {});
    EXPECT_FALSE(reader.Finish().ok()) << Describe(wrong);
  }
}

TEST(Arguments, MissingOnesAndWrongCallsAreErrors) {
  const Value empty = Dict({});
  Arguments image("op", empty);
  EXPECT_NE(image.GetImage(), nullptr);
  EXPECT_NE(image.Finish().message().find("image is missing"), std::string::npos);
  Arguments number("op", empty);
  number.Number("angle");
  EXPECT_NE(number.Finish().message().find("angle is missing"), std::string::npos);
  const Value list = List({Int(1)});
  Arguments wrong("op", list);
  wrong.GetImage();
  EXPECT_NE(wrong.Finish().message().find("by name"), std::string::npos);
}

}  // namespace
}  // namespace vista::ops
