// A Scheduler in virtual time and a sink that remembers what came.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "sched/scheduler.h"

namespace vista::sched {

using std::chrono::milliseconds;

using Numbers = std::vector<std::int64_t>;

inline Value Number(std::int64_t number) { return Value{number}; }

class RecordingSink final : public CompletionSink {
 public:
  void Deliver(std::span<Completion> completions) override {
    const std::lock_guard lock(mutex_);
    for (Completion& completion : completions)
      by_token_[completion.token].push_back(std::move(completion));
  }
  // How many Completions a token got.
  std::size_t count(std::uint64_t token) {
    const std::lock_guard lock(mutex_);
    return by_token_[token].size();
  }
  // The one Completion of a token; a failed test when there is not exactly one.
  Completion only(std::uint64_t token) {
    const std::lock_guard lock(mutex_);
    const auto& completions = by_token_[token];
    EXPECT_EQ(completions.size(), 1U) << "completions of " << token;
    return completions.empty() ? Completion{} : completions.front();
  }
  StatusCode code(std::uint64_t token) { return only(token).status.code(); }
  std::int64_t number(std::uint64_t token) {
    const Completion completion = only(token);
    if (!completion.result) {
      ADD_FAILURE() << "token " << token << " failed: " << completion.status.message();
      return -1;
    }
    return *completion.result->get_if<std::int64_t>();
  }

 private:
  std::mutex mutex_;
  std::map<std::uint64_t, std::vector<Completion>> by_token_;
};

class LostPullers final : public Listener {
 public:
  void PullerLost(OpId op) override { ops.push_back(op); }
  std::vector<OpId> ops;
};

class SchedulerTest : public ::testing::Test {
 protected:
  static OpSpec Spec(const std::string& name) {
    OpSpec spec;
    spec.name = name;
    spec.version = "1";
    spec.policy = {4, milliseconds(10), false};
    return spec;
  }

  Scheduler::AddedOp AddOp(OpSpec spec, bool leased = true) {
    return std::move(scheduler_.AddOp(std::move(spec), leased)).value();
  }

  // A call whose identity and argument is a number; the token counts up from 0.
  Call MakeCall(OpId op, std::int64_t argument) {
    Call call;
    call.op = op;
    call.arguments = Number(argument);
    call.identity = Identity("op " + std::to_string(op) + " " + std::to_string(argument));
    call.token = next_token_++;
    return call;
  }
  RequestId Submit(Call call) {
    RequestId id = 0;
    EXPECT_TRUE(scheduler_.Submit({&call, 1}, sink_, {&id, 1}).ok());
    return id;
  }
  RequestId Submit(OpId op, std::int64_t argument) { return Submit(MakeCall(op, argument)); }

  std::optional<Batch> Take(LaneId lane) {
    TimePoint look_again;
    return scheduler_.TryTake(lane, &look_again);
  }
  static std::vector<std::int64_t> Arguments(const Batch& batch) {
    std::vector<std::int64_t> numbers;
    for (const Value& call : *batch.calls) numbers.push_back(*call.get_if<std::int64_t>());
    return numbers;
  }
  // Every call's result is ten times its argument.
  bool Complete(const Batch& batch) {
    std::vector<Result<Value>> results;
    for (const std::int64_t number : Arguments(batch)) results.emplace_back(Number(10 * number));
    return scheduler_.Complete(batch.id, std::move(results));
  }
  OpStats Stats(std::size_t op = 0) { return scheduler_.Stats().ops.at(op).second; }

  ManualClock clock_;
  LostPullers lost_;
  std::shared_ptr<RecordingSink> sink_ = std::make_shared<RecordingSink>();
  Scheduler scheduler_{{std::size_t{1} << 20, {8, 1000000}}, &clock_, &lost_};
  std::uint64_t next_token_ = 0;
};

}  // namespace vista::sched
