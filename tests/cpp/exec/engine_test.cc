#include "exec/engine.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <vector>

namespace vista::exec {
namespace {

// Doubles a number; a call with "throw" throws, "refuse" does not pass Inspect, "few" loses a
// result.
class DoubleOp final : public NativeOp {
 public:
  explicit DoubleOp(std::string name) {
    spec_.name = std::move(name);
    spec_.version = "1";
    spec_.concurrency = 0;
  }
  [[nodiscard]] const sched::OpSpec& spec() const override { return spec_; }
  [[nodiscard]] Result<sched::CallTraits> Inspect(const Value&) const override {
    return sched::CallTraits{};
  }
  [[nodiscard]] std::vector<Result<Value>> Run(std::span<const Value> calls) const override {
    std::vector<Result<Value>> results;
    for (const Value& call : calls) {
      if (call.find("throw") != nullptr) throw std::runtime_error("it threw");
      if (call.find("throw 5") != nullptr) throw 5;  // NOLINT: what a library might do
      if (call.find("few") != nullptr) continue;
      results.emplace_back(Value{2 * *call.find("x")->get_if<std::int64_t>()});
    }
    return results;
  }

 private:
  sched::OpSpec spec_;
};

class WaitingSink final : public sched::CompletionSink {
 public:
  void Deliver(std::span<sched::Completion> completions) override {
    const std::lock_guard lock(mutex_);
    for (sched::Completion& completion : completions) completions_.push_back(std::move(completion));
    arrived_.notify_all();
  }
  std::vector<sched::Completion> Await(std::size_t count) {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [&] { return completions_.size() >= count; });
    return completions_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::vector<sched::Completion> completions_;
};

class EngineTest : public ::testing::Test {
 protected:
  static NativeOps Ops() {
    NativeOps ops;
    ops.push_back(std::make_unique<DoubleOp>("double"));
    ops.push_back(std::make_unique<DoubleOp>("double"));  // the first of a name stands
    return ops;
  }
  void Submit(Value::Dict arguments) {
    sched::Call call;
    call.op = engine_.native_ops().front().id;
    call.arguments = Value{std::move(arguments)};
    call.token = token_++;
    sched::RequestId id = 0;
    ASSERT_TRUE(engine_.scheduler().Submit({&call, 1}, sink_, {&id, 1}).ok());
  }
  StatusCode CodeOf(Value::Dict arguments) {
    const std::size_t before = token_;
    Submit(std::move(arguments));
    return sink_->Await(before + 1).back().status.code();
  }

  std::shared_ptr<WaitingSink> sink_ = std::make_shared<WaitingSink>();
  std::size_t token_ = 0;
  Engine engine_{{2, {}}, Ops(), nullptr};
};

TEST_F(EngineTest, RunsNativeOps) {
  for (std::int64_t i = 0; i < 200; ++i) Submit({{"x", Value{i}}});
  for (const sched::Completion& completion : sink_->Await(200)) {
    EXPECT_EQ(*completion.result->get_if<std::int64_t>(),
              2 * static_cast<std::int64_t>(completion.token));
  }
  EXPECT_EQ(engine_.native_ops().size(), 1U);
}

TEST_F(EngineTest, AWorkerSurvivesWhatAnOpThrowsAndWhatItLeavesOut) {
  EXPECT_EQ(CodeOf({{"throw", Value{}}}), StatusCode::kInternal);
  EXPECT_EQ(CodeOf({{"throw 5", Value{}}}), StatusCode::kInternal);
  EXPECT_EQ(CodeOf({{"few", Value{}}}), StatusCode::kInternal);
  EXPECT_EQ(CodeOf({{"x", Value{std::int64_t{1}}}}), StatusCode::kOk);
}

TEST_F(EngineTest, CompletesWhatItAcceptedWhenItCloses) {
  for (std::int64_t i = 0; i < 100; ++i) Submit({{"x", Value{i}}});
  engine_.Close(std::chrono::seconds(60));
  for (const sched::Completion& completion : sink_->Await(100)) EXPECT_TRUE(completion.status.ok());
  engine_.Close(Duration(0));
}

}  // namespace
}  // namespace vista::exec
