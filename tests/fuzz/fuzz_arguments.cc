// Any arguments to any native Op: Inspect says what they cost or gives a typed error, never a
// failure of its own; what it accepts and is small runs, alone and twice in a batch, to equal
// results or typed errors.
#include <fuzzer/FuzzedDataProvider.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/canonical.h"
#include "base/value.h"
#include "exec/native_op.h"
#include "image/image.h"

namespace {

using vista::Value;

constexpr double kMostMegapixels = 0.3;
constexpr int kDeepest = 3;

struct Known {
  std::string_view op;
  std::vector<const char*> arguments;  // but for the image
};

const std::vector<Known>& KnownOps() {
  static const auto* const known =
      new std::vector<Known>{{"image.draw_boxes", {"boxes", "color", "width"}},
                             {"image.encode", {"format", "level", "quality", "subsampling"}},
                             {"image.preprocess",
                              {"box", "processor", "size", "mean", "std", "patch_size",
                               "merge_size", "temporal_patch_size", "min_pixels", "max_pixels",
                               "shortest_edge", "pad_to_square", "min_tiles", "max_tiles"}},
                             {"image.resize", {"size", "filter", "source"}},
                             {"image.rotate", {"angle", "filter", "expand", "fill"}},
                             {"image.zoom", {"box", "size", "filter"}}};
  return *known;
}

constexpr const char* kTexts[] = {"nearest", "box",   "bilinear",  "bicubic", "lanczos", "png",
                                  "jpeg",    "4:4:4", "4:2:2",     "4:2:0",   "qwen_vl", "clip",
                                  "siglip",  "llava", "intern_vl", "#ff0000", "#zzzzzz", ""};

void Require(bool holds) {
  if (!holds) std::abort();
}

Value AnyValue(FuzzedDataProvider* data, int depth) {
  switch (data->ConsumeIntegralInRange(0, depth < kDeepest ? 8 : 6)) {
    case 0:
      return Value{};
    case 1:
      return Value{data->ConsumeBool()};
    case 2:
      return Value{std::int64_t{data->ConsumeIntegralInRange(-4, 40)}};
    case 3:
      return Value{data->ConsumeIntegral<std::int64_t>()};
    case 4:
      return Value{data->ConsumeFloatingPointInRange(-2.0, 50.0)};
    case 5:
      return Value{data->ConsumeFloatingPoint<double>()};
    case 6:
      return Value{std::string(data->PickValueInArray(kTexts))};
    case 7: {
      Value::List list;
      const int count = data->ConsumeIntegralInRange(0, 5);
      for (int i = 0; i < count; ++i) list.push_back(AnyValue(data, depth + 1));
      return Value{std::move(list)};
    }
    default:
      return Value{vista::Bytes{data->ConsumeRandomLengthString(8)}};
  }
}

vista::ObjectRef AnyImage(FuzzedDataProvider* data) {
  const vista::Size size = {data->ConsumeIntegralInRange(1, 40),
                            data->ConsumeIntegralInRange(1, 40)};
  vista::Pixels pixels = std::move(vista::Pixels::Allocate(size)).value();
  for (std::size_t i = 0; i < pixels.bytes(); ++i)
    pixels.data()[i] = static_cast<std::uint8_t>(31 * i);
  return vista::Image::Create(std::move(pixels));
}

// Where the data ends, every number is the least of its range: the image is there and what is left
// of the arguments is not.
Value AnyCall(FuzzedDataProvider* data, const std::vector<const char*>& names) {
  Value::Dict entries;
  if (data->ConsumeIntegralInRange(0, 15) != 15)
    entries.emplace_back("image", Value{AnyImage(data)});
  for (const char* name : names) {
    if (data->ConsumeBool()) entries.emplace_back(name, AnyValue(data, 0));
  }
  if (data->ConsumeIntegralInRange(0, 31) == 31) entries.emplace_back("unknown", AnyValue(data, 0));
  std::sort(entries.begin(), entries.end(),
            [](const auto& one, const auto& other) { return one.first < other.first; });
  return Value{std::move(entries)};
}

// An Op without a row in the table is an error of this file.
const std::vector<const char*>& ArgumentsOf(std::string_view op) {
  const auto known = std::find_if(KnownOps().begin(), KnownOps().end(),
                                  [&](const Known& each) { return each.op == op; });
  Require(known != KnownOps().end());
  return known->arguments;
}

bool IsTyped(const vista::Status& status) {
  return status.code() == vista::StatusCode::kInvalidArgument ||
         status.code() == vista::StatusCode::kResourceExhausted;
}

std::string IdentityOf(const Value& value) {
  std::string bytes;
  Require(vista::AppendCanonical(value, &bytes).ok());
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const vista::exec::NativeOps* const ops = new vista::exec::NativeOps(vista::ops::All());
  FuzzedDataProvider data(bytes, size);
  const auto& op = (*ops)[data.ConsumeIntegralInRange<std::size_t>(0, ops->size() - 1)];
  const Value call = AnyCall(&data, ArgumentsOf(op->spec().name));
  const vista::Result<vista::sched::CallTraits> traits = op->Inspect(call);
  if (!traits.ok()) {
    Require(IsTyped(traits.status()));
    return 0;
  }
  Require(std::isfinite(traits.value().size) && traits.value().size >= 0);
  if (traits.value().size > kMostMegapixels) return 0;
  const std::vector<Value> pair = {call, call};
  const std::vector<vista::Result<Value>> alone = op->Run({&call, 1});
  const std::vector<vista::Result<Value>> both = op->Run(pair);
  Require(alone.size() == 1 && both.size() == 2);
  for (const vista::Result<Value>& result : both) {
    Require(result.ok() == alone[0].ok());
    if (!result.ok()) {
      Require(IsTyped(result.status()));
    } else {
      Require(IdentityOf(result.value()) == IdentityOf(alone[0].value()));
    }
  }
  return 0;
}
