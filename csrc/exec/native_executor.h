// NativeExecutor: C++ threads that pull Batches of native Ops and run them.
#pragma once

#include <functional>
#include <memory>
#include <shared_mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "exec/native_op.h"
#include "sched/scheduler.h"

namespace vista::exec {

class NativeExecutor {
 public:
  using Ops = std::unordered_map<sched::OpId, std::unique_ptr<NativeOp>>;

  // Starts the threads. The scheduler outlives the executor and knows the ops already.
  NativeExecutor(sched::Scheduler* scheduler, Ops ops, int threads);
  ~NativeExecutor();
  NativeExecutor(const NativeExecutor&) = delete;
  NativeExecutor& operator=(const NativeExecutor&) = delete;

  // One more Op, which the scheduler may know already: its calls come after this.
  void Add(sched::OpId id, std::unique_ptr<NativeOp> op);
  // Runs a Batch of the native lane to its end, on the calling thread.
  void Run(const sched::Batch& batch);
  // Joins the threads once the scheduler has stopped; the ops stay, because late callers still
  // inspect with them. Later calls do nothing.
  void Join();

 private:
  void Work();

  sched::Scheduler* const scheduler_;
  std::shared_mutex ops_mutex_;
  Ops ops_;
  std::vector<std::thread> threads_;
};

// A thread of the core: named for debuggers, and deaf to signals, which belong to Python's main
// thread. Throws std::system_error when the system has no thread left.
std::thread StartThread(const char* name, std::function<void()> body);

}  // namespace vista::exec
