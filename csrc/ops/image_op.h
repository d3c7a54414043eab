// ImageOp: a native Op over one function that takes the arguments of a single call.
#pragma once

#include <utility>

#include "exec/native_op.h"
#include "image/image.h"

namespace vista::ops {

// Call is a struct with
//   static constexpr const char* kName and kVersion;
//   static Result<Call> Parse(const Value& arguments);
//   double megapixels() const, what it reads and writes;
//   Result<Value> Run() const.
template <typename Call>
class ImageOp final : public exec::NativeOp {
 public:
  ImageOp() {
    spec_.name = Call::kName;
    spec_.version = Call::kVersion;
    // Calls gain nothing from each other here, so a Batch is small, to share the work among the
    // workers, and never waits.
    spec_.policy.max_batch = 4;
    spec_.policy.max_delay = Duration{0};
    spec_.concurrency = 0;
  }

  [[nodiscard]] const sched::OpSpec& spec() const override { return spec_; }

  [[nodiscard]] Result<sched::CallTraits> Inspect(const Value& arguments) const override {
    const Result<Call> call = Call::Parse(arguments);
    if (!call.ok()) return call.status();
    return sched::CallTraits{"", call.value().megapixels()};
  }

  [[nodiscard]] std::vector<Result<Value>> Run(std::span<const Value> calls) const override {
    std::vector<Result<Value>> results;
    results.reserve(calls.size());
    for (const Value& arguments : calls) {
      const Result<Call> call = Call::Parse(arguments);
      results.push_back(call.ok() ? call.value().Run() : Result<Value>(call.status()));
    }
    return results;
  }

 private:
  sched::OpSpec spec_;
};

inline double Megapixels(Size size) { return 1e-6 * size.width * size.height; }

// The image as a call's result.
inline Result<Value> ToImageValue(Result<Pixels> pixels) {
  if (!pixels.ok()) return pixels.status();
  return Value{ObjectRef(Image::Create(std::move(pixels).value()))};
}

// One per Op; see the file of that name.
std::unique_ptr<exec::NativeOp> MakeDrawBoxes();
std::unique_ptr<exec::NativeOp> MakeEncode();
std::unique_ptr<exec::NativeOp> MakePreprocess();
std::unique_ptr<exec::NativeOp> MakeResize();
std::unique_ptr<exec::NativeOp> MakeRotate();
std::unique_ptr<exec::NativeOp> MakeZoom();

}  // namespace vista::ops
