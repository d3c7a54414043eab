// Engine: the scheduler with its native workers and its timer. What the binding wraps.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <unordered_map>

#include "base/clock.h"
#include "exec/native_executor.h"
#include "sched/scheduler.h"

namespace vista::exec {

class Engine {
 public:
  struct Options {
    int threads = 1;  // native workers
    sched::Scheduler::Options scheduler;
  };

  // Starts the threads. The listener, which may be null, outlives the engine. Native Ops with a
  // concurrency of 0 run on as many workers as there are.
  Engine(const Options& options, NativeOps native_ops, sched::Listener* listener);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] sched::Scheduler& scheduler() { return scheduler_; }
  [[nodiscard]] const Clock& clock() const { return clock_; }

  struct NativeEntry {
    sched::OpId id;
    const NativeOp* op;
  };
  [[nodiscard]] const std::vector<NativeEntry>& native_ops() const { return native_; }

  // One more native Op. Error: kInvalidArgument for a name that is taken.
  Result<NativeEntry> AddOp(std::unique_ptr<NativeOp> op);

  // Runs a Batch that SubmitInPlace gave, on the calling thread.
  void Run(const sched::Batch& batch) { executor_->Run(batch); }

  // Refuses new Requests, waits at most `timeout` for the accepted ones, aborts the rest, and joins
  // the native threads. Later calls do nothing.
  void Close(Duration timeout);

 private:
  const SteadyClock clock_;
  sched::Scheduler scheduler_;
  std::vector<NativeEntry> native_;
  std::unique_ptr<NativeExecutor> executor_;
  std::thread timer_;
};

}  // namespace vista::exec
