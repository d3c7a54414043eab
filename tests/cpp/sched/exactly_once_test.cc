// The central promise: every accepted Request completes exactly once, whatever happens at the same
// time.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <thread>
#include <vector>

#include "harness.h"
#include "sched/scheduler.h"

namespace vista::sched {
namespace {

constexpr int kSubmitters = 3;
constexpr int kPullers = 3;
constexpr int kSubmissions = 300;

class CountingSink final : public CompletionSink {
 public:
  explicit CountingSink(std::size_t tokens) : counts_(tokens) {}
  void Deliver(std::span<Completion> completions) override {
    for (const Completion& completion : completions) {
      ++counts_[completion.token];
      if (completion.status.ok()) {
        EXPECT_NE(completion.result, nullptr);
        EXPECT_EQ(*completion.result->get_if<std::int64_t>() % 10, 0);
      }
    }
  }
  [[nodiscard]] int count(std::size_t token) const { return counts_[token]; }

 private:
  std::vector<std::atomic<int>> counts_;
};

// Threads submit, cancel, expect, pull, fail, return too few results, hang and expire at random;
// then one closes.
class Storm {
 public:
  explicit Storm(unsigned seed)
      : seed_(seed), sink_(std::make_shared<CountingSink>(kSubmitters * kSubmissions * 4)) {
    for (const bool leased : {true, true, false}) {
      OpSpec spec;
      spec.name = "op" + std::to_string(ops_.size());
      spec.version = "1";
      spec.policy = {5, std::chrono::microseconds(200), ops_.size() == 1};
      spec.concurrency = 2;
      spec.timeout = std::chrono::milliseconds(ops_.empty() ? 2 : 0);
      ops_.push_back(std::move(scheduler_.AddOp(spec, leased)).value());
    }
  }

  void Run() {
    std::vector<std::thread> submitters;
    std::vector<std::thread> others;
    std::thread timer([this] { scheduler_.ServeTimers(); });
    for (unsigned i = 0; i < kSubmitters; ++i) submitters.emplace_back([this, i] { Submit(i); });
    for (unsigned i = 0; i < kPullers; ++i) {
      for (const auto& op : ops_)
        others.emplace_back([this, i, lane = op.lane] { Pull(100 + i, lane); });
    }
    for (std::thread& thread : submitters) thread.join();
    scheduler_.BeginClose();
    scheduler_.AwaitIdle(std::chrono::milliseconds(seed_ % 3));
    scheduler_.Stop("closed");
    for (std::thread& thread : others) thread.join();
    timer.join();
  }

  void ExpectExactlyOnce() {
    EXPECT_GT(accepted_.size(), 100U);
    for (const std::size_t token : accepted_)
      EXPECT_EQ(sink_->count(token), 1) << "token " << token;
    const SchedulerStats stats = scheduler_.Stats();
    EXPECT_EQ(stats.outstanding, 0U);
    EXPECT_EQ(stats.flights, 0U);
    EXPECT_EQ(stats.flight_bytes, 0U);
    EXPECT_EQ(stats.lobby, 0U);
    for (const auto& [name, op] : stats.ops) {
      EXPECT_EQ(op.submitted, op.succeeded + op.failed + op.expired + op.cancelled + op.aborted)
          << name;
    }
  }

 private:
  Call RandomCall(std::mt19937* random, std::size_t token) {
    Call call;
    call.op = ops_[(*random)() % ops_.size()].id;
    const auto argument = static_cast<std::int64_t>((*random)() % 40);
    call.arguments = Number(argument);
    if ((*random)() % 8 != 0) {
      call.identity = Identity(std::to_string(call.op) + ":" + std::to_string(argument));
    }
    call.traits.compatibility = std::to_string(argument % 3);
    call.traits.size = static_cast<double>(argument);
    call.flow = (*random)() % 4;
    call.priority = static_cast<Priority>((*random)() % 3);
    const TimePoint now = clock_.Now();
    if ((*random)() % 3 == 0)
      call.soft_deadline = now + std::chrono::microseconds((*random)() % 500);
    if ((*random)() % 3 == 0)
      call.hard_deadline = now + std::chrono::microseconds((*random)() % 1000);
    call.nested = (*random)() % 5 == 0;
    call.token = token;
    return call;
  }

  void Submit(unsigned who) {
    std::mt19937 random(seed_ * 1000 + who);
    std::vector<RequestId> mine;
    for (std::size_t i = 0; i < kSubmissions; ++i) {
      std::vector<Call> calls;
      std::vector<std::size_t> tokens;
      for (std::size_t k = 0; k <= random() % 4; ++k) {
        tokens.push_back(((who * kSubmissions) + i) * 4 + k);
        calls.push_back(RandomCall(&random, tokens.back()));
        if (calls.size() == 4) break;
      }
      std::vector<RequestId> ids(calls.size());
      if (scheduler_.Submit(calls, sink_, ids).ok()) {
        const std::lock_guard lock(mutex_);
        accepted_.insert(tokens.begin(), tokens.end());
      }
      mine.insert(mine.end(), ids.begin(), ids.end());
      if (random() % 3 == 0) scheduler_.Cancel(mine[random() % mine.size()]);
      if (random() % 5 == 0) {
        const ExpectationId expectation =
            scheduler_.Expect(ops_[random() % ops_.size()].id, random() % 4);
        if (random() % 2 == 0) scheduler_.Release(expectation);
      }
      // One run in four is closed while all of this is going on.
      if (who == 0 && seed_ % 4 == 0 && i == kSubmissions / 2) scheduler_.Stop("closed in flight");
    }
  }

  void Pull(unsigned who, LaneId lane) {
    std::mt19937 random(seed_ * 1000 + who);
    std::optional<Batch> abandoned;
    while (const std::optional<Batch> batch = scheduler_.Take(lane)) {
      std::vector<Result<Value>> results;
      for (const Value& call : *batch->calls) {
        if (random() % 10 == 0) {
          results.emplace_back(Status::InvalidArgument("no"));
        } else {
          results.emplace_back(Number(10 * *call.get_if<std::int64_t>()));
        }
      }
      switch (random() % 10) {
        case 0:
          scheduler_.Fail(batch->id, Status::Internal("as a whole"));
          break;
        case 1:
          results.pop_back();
          scheduler_.Complete(batch->id, std::move(results));
          break;
        case 2:  // comes back one Batch later, perhaps after its Lease was lost
          if (abandoned) scheduler_.Fail(abandoned->id, Status::Internal("late"));
          abandoned = batch;
          break;
        default:
          scheduler_.Complete(batch->id, std::move(results));
          scheduler_.Complete(batch->id, {});  // a second completion must be ignored
      }
    }
  }

  const unsigned seed_;
  SteadyClock clock_;
  Scheduler scheduler_{{4096, {16, 100000}}, &clock_, nullptr};
  std::vector<Scheduler::AddedOp> ops_;
  std::shared_ptr<CountingSink> sink_;
  std::mutex mutex_;
  std::set<std::size_t> accepted_;
};

class ExactlyOnce : public ::testing::TestWithParam<unsigned> {};

TEST_P(ExactlyOnce, WhateverHappensAtTheSameTime) {
  Storm storm(GetParam());
  storm.Run();
  storm.ExpectExactlyOnce();
}

INSTANTIATE_TEST_SUITE_P(Seeds, ExactlyOnce, ::testing::Range(0U, 12U));

}  // namespace
}  // namespace vista::sched
