// Take, which blocks: in real time, with a thread that pulls.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>
#include <vector>

#include "base/spin.h"
#include "harness.h"
#include "sched/scheduler.h"

namespace vista::sched {
namespace {

void YieldFor(Duration duration) {
  const auto until = std::chrono::steady_clock::now() + duration;
  while (std::chrono::steady_clock::now() < until) std::this_thread::yield();
}

class TakeTest : public SchedulerTest {
 protected:
  TakeTest() {
    OpSpec spec = Spec("op");
    spec.policy = {4, Duration(0), false};
    spec.concurrency = 2;
    op_ = AddOp(spec);
  }
  ~TakeTest() override {
    scheduler_.Stop("the test is over");
    for (std::thread& puller : pullers_) puller.join();
  }

  void StartPuller() {
    pullers_.emplace_back([this] {
      while (const auto batch = scheduler_.Take(op_.lane)) Complete(*batch);
    });
  }
  // Whether the call completes with the right result; a call that no puller sees does not.
  bool Answers(std::int64_t argument) {
    const std::uint64_t token = next_token_;
    Submit(op_.id, argument);
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (sink_->count(token) == 0) {
      if (std::chrono::steady_clock::now() >= until) return false;
      std::this_thread::yield();
    }
    return sink_->number(token) == 10 * argument;
  }

  Scheduler::AddedOp op_;
  std::vector<std::thread> pullers_;
};

TEST_F(TakeTest, CallsMadeOneAfterAnotherAreAllSeenWhetherPullersSpinOrSleep) {
  StartPuller();
  StartPuller();
  for (int i = 0; i < 3000; ++i) {
    // Now and then after about as long as pullers spin, or longer.
    if (i % 16 == 0) YieldFor(kLongestSpin * (i % 5));
    ASSERT_TRUE(Answers(i)) << i;
  }
}

TEST_F(TakeTest, WhatRunsBeforeBlockingMayCallTheScheduler) {
  int times = 0;
  const auto batch = scheduler_.Take(op_.lane, [&] {
    ++times;
    Submit(op_.id, 7);
  });
  ASSERT_TRUE(batch);
  EXPECT_EQ(Arguments(*batch), Numbers{7});
  EXPECT_EQ(times, 1);
  EXPECT_TRUE(Complete(*batch));
}

TEST_F(TakeTest, NothingRunsBeforeWhereThereIsABatch) {
  Submit(op_.id, 7);
  const auto batch = scheduler_.Take(op_.lane, [] { FAIL() << "it did not have to block"; });
  ASSERT_TRUE(batch);
  EXPECT_TRUE(Complete(*batch));
}

TEST_F(TakeTest, StopSendsHomeOneThatBlocksAndOneThatIsAboutTo) {
  std::promise<void> about_to_block;
  std::atomic<bool> is_over{false};
  auto blocked = std::async(std::launch::async, [&] { return scheduler_.Take(op_.lane); });
  auto stopped = std::async(std::launch::async, [&] {
    return scheduler_.Take(op_.lane, [&] {
      about_to_block.set_value();
      while (!is_over) std::this_thread::yield();
    });
  });
  about_to_block.get_future().wait();
  scheduler_.Stop("closed");
  is_over = true;
  EXPECT_FALSE(blocked.get());
  EXPECT_FALSE(stopped.get());
}

}  // namespace
}  // namespace vista::sched
