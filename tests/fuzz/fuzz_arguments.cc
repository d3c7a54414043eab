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
// Every name that some Op knows, and one that none does.
constexpr const char* kNames[] = {"angle",
                                  "box",
                                  "boxes",
                                  "color",
                                  "expand",
                                  "fill",
                                  "filter",
                                  "format",
                                  "level",
                                  "max_pixels",
                                  "mean",
                                  "merge_size",
                                  "min_pixels",
                                  "patch_size",
                                  "quality",
                                  "size",
                                  "std",
                                  "subsampling",
                                  "temporal_patch_size",
                                  "unknown",
                                  "processor",
                                  "shortest_edge",
                                  "pad_to_square",
                                  "min_tiles",
                                  "max_tiles",
                                  "width"};
constexpr const char* kTexts[] = {"clip",    "siglip",  "llava",   "intern_vl", "bicubic",
                                  "nearest", "lanczos", "png",     "jpeg",      "4:2:0",
                                  "#ff0000", "",        "#zzzzzz", "auto"};

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

Value AnyCall(FuzzedDataProvider* data) {
  Value::Dict entries;
  for (const char* name : kNames) {
    if (data->ConsumeIntegralInRange(0, 3) == 0) entries.emplace_back(name, AnyValue(data, 0));
  }
  if (data->ConsumeIntegralInRange(0, 15) != 0) {
    const vista::Size size = {data->ConsumeIntegralInRange(1, 40),
                              data->ConsumeIntegralInRange(1, 40)};
    vista::Pixels pixels = std::move(vista::Pixels::Allocate(size)).value();
    for (std::size_t i = 0; i < pixels.bytes(); ++i)
      pixels.data()[i] = static_cast<std::uint8_t>(31 * i);
    entries.emplace_back("image", Value{vista::ObjectRef(vista::Image::Create(std::move(pixels)))});
  }
  std::sort(entries.begin(), entries.end(),
            [](const auto& one, const auto& other) { return one.first < other.first; });
  return Value{std::move(entries)};
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
  const Value call = AnyCall(&data);
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
