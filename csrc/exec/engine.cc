#include "exec/engine.h"

#include <utility>

namespace vista::exec {

Engine::Engine(const Options& options, NativeOps native_ops, sched::Listener* listener)
    : scheduler_(options.scheduler, &clock_, listener) {
  NativeExecutor::Ops by_id;
  for (std::unique_ptr<NativeOp>& op : native_ops) {
    const Result<sched::Scheduler::AddedOp> added = scheduler_.AddOp(op->spec(), /*leased=*/false);
    if (!added.ok()) continue;  // two native Ops of one name: the first one stands
    native_.push_back({added.value().id, op.get()});
    by_id.emplace(added.value().id, std::move(op));
  }
  executor_ = std::make_unique<NativeExecutor>(&scheduler_, std::move(by_id), options.threads);
  try {
    timer_ = StartThread("vista-timer", [this] { scheduler_.ServeTimers(); });
  } catch (...) {
    scheduler_.Stop("the timer could not be started");
    executor_->Join();
    throw;
  }
}

Result<Engine::NativeEntry> Engine::AddOp(std::unique_ptr<NativeOp> op) {
  const NativeOp* const added = op.get();
  const Result<sched::Scheduler::AddedOp> as = scheduler_.AddOp(added->spec(), /*leased=*/false);
  if (!as.ok()) return as.status();
  executor_->Add(as.value().id, std::move(op));
  return NativeEntry{as.value().id, added};
}

Engine::~Engine() { Close(Duration(0)); }

void Engine::Close(Duration timeout) {
  scheduler_.BeginClose();
  scheduler_.AwaitIdle(timeout);
  scheduler_.Stop(
      "the engine was closed while the call was outstanding; submit it again to another Engine");
  if (timer_.joinable()) timer_.join();
  executor_->Join();
}

}  // namespace vista::exec
