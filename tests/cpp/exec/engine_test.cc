#include "exec/engine.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace vista::exec {
namespace {

// Doubles a number; a call with "throw" throws, "exhaust" finds no memory, "refuse" does not pass
// Inspect, "few" loses a result.
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
      if (call.find("exhaust") != nullptr) throw std::bad_alloc();
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
    Submit(engine_.native_ops().front().id, std::move(arguments));
  }
  void Submit(sched::OpId op, Value::Dict arguments) {
    sched::Call call;
    call.op = op;
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
  EXPECT_EQ(CodeOf({{"exhaust", Value{}}}), StatusCode::kResourceExhausted);
  EXPECT_EQ(CodeOf({{"x", Value{std::int64_t{1}}}}), StatusCode::kOk);
}

TEST_F(EngineTest, CompletesWhatItAcceptedWhenItCloses) {
  for (std::int64_t i = 0; i < 100; ++i) Submit({{"x", Value{i}}});
  engine_.Close(std::chrono::seconds(60));
  for (const sched::Completion& completion : sink_->Await(100)) EXPECT_TRUE(completion.status.ok());
  engine_.Close(Duration(0));
}

TEST_F(EngineTest, TakesMoreOpsWhileOthersRun) {
  std::vector<sched::OpId> added;
  for (std::int64_t i = 0; i < 40; ++i) {
    const auto more = engine_.AddOp(std::make_unique<DoubleOp>("double " + std::to_string(i)));
    ASSERT_TRUE(more.ok()) << more.status().message();
    EXPECT_EQ(more.value().op->spec().name, "double " + std::to_string(i));
    added.push_back(more.value().id);
    Submit({{"x", Value{2 * i}}});
    Submit(added.back(), {{"x", Value{2 * i + 1}}});
  }
  for (const sched::Completion& completion : sink_->Await(80)) {
    EXPECT_EQ(*completion.result->get_if<std::int64_t>(),
              2 * static_cast<std::int64_t>(completion.token));
  }
  const auto taken = engine_.AddOp(std::make_unique<DoubleOp>("double 7"));
  EXPECT_EQ(taken.status().code(), StatusCode::kInvalidArgument);
}

// Says how many batches run at once at most.
class CountingOp final : public NativeOp {
 public:
  explicit CountingOp(std::atomic<int>* most) : most_(most) {
    spec_.name = "count";
    spec_.version = "1";
    spec_.concurrency = 0;
    spec_.cacheable = false;
  }
  [[nodiscard]] const sched::OpSpec& spec() const override { return spec_; }
  [[nodiscard]] Result<sched::CallTraits> Inspect(const Value&) const override {
    return sched::CallTraits{};
  }
  [[nodiscard]] std::vector<Result<Value>> Run(std::span<const Value> calls) const override {
    const int now = running_.fetch_add(1) + 1;
    int most = most_->load();
    while (now > most && !most_->compare_exchange_weak(most, now)) {
    }
    std::this_thread::yield();
    running_.fetch_sub(1);
    return {calls.begin(), calls.end()};
  }

 private:
  sched::OpSpec spec_;
  std::atomic<int>* const most_;
  mutable std::atomic<int> running_{0};
};

TEST(SubmitInPlace, CallersStandInForIdleWorkersAndNeverAddToThem) {
  constexpr int kThreads = 2;
  constexpr std::size_t kCallers = 5;
  constexpr std::size_t kCalls = 400;
  std::atomic<int> most{0};
  std::atomic<std::size_t> in_place{0};
  NativeOps ops;
  ops.push_back(std::make_unique<CountingOp>(&most));
  Engine engine({kThreads, {}}, std::move(ops), nullptr);
  std::vector<std::thread> callers;
  for (std::size_t caller = 0; caller < kCallers; ++caller) {
    callers.emplace_back([&] {
      for (std::size_t i = 0; i < kCalls; ++i) {
        const auto sink = std::make_shared<WaitingSink>();
        sched::Call call;
        call.op = engine.native_ops().front().id;
        call.arguments = Value{static_cast<std::int64_t>(i)};
        sched::RequestId id = 0;
        std::optional<sched::Batch> batch;
        ASSERT_TRUE(engine.scheduler().SubmitInPlace(&call, sink, &id, &batch).ok());
        if (batch) {
          ASSERT_EQ(batch->calls->size(), 1U);
          in_place.fetch_add(1);
          engine.Run(*batch);
        }
        ASSERT_EQ(*sink->Await(1).front().result->get_if<std::int64_t>(),
                  static_cast<std::int64_t>(i));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_LE(most.load(), kThreads);
  EXPECT_GT(in_place.load(), 0U);
  EXPECT_TRUE(engine.scheduler().AwaitIdle(Duration(0)));
}

TEST_F(EngineTest, ACallInPlaceThatThrowsFailsAsAnyOther) {
  for (int i = 0; i < 100; ++i) {
    const auto sink = std::make_shared<WaitingSink>();
    sched::Call call;
    call.op = engine_.native_ops().front().id;
    call.arguments = Value{Value::Dict{{"throw", Value{}}}};
    sched::RequestId id = 0;
    std::optional<sched::Batch> batch;
    ASSERT_TRUE(engine_.scheduler().SubmitInPlace(&call, sink, &id, &batch).ok());
    if (batch) engine_.Run(*batch);
    EXPECT_EQ(sink->Await(1).front().status.code(), StatusCode::kInternal);
  }
}

TEST_F(EngineTest, ACallInPlaceIsRefusedByAClosedEngine) {
  engine_.Close(Duration(0));
  sched::Call call;
  call.op = engine_.native_ops().front().id;
  sched::RequestId id = 0;
  std::optional<sched::Batch> batch;
  EXPECT_EQ(engine_.scheduler().SubmitInPlace(&call, sink_, &id, &batch).code(),
            StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace vista::exec
