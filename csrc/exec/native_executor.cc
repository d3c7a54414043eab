#include "exec/native_executor.h"

#include <pthread.h>
#include <signal.h>

#include <exception>
#include <functional>
#include <mutex>
#include <new>
#include <string>
#include <utility>

namespace vista::exec {

std::thread StartThread(const char* name, std::function<void()> body) {
  // The new thread inherits the mask, so that no signal can reach it before it has set its own.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread;
  try {
    thread = std::thread(std::move(body));
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread.native_handle(), name);
  return thread;
}

NativeExecutor::NativeExecutor(sched::Scheduler* scheduler, Ops ops, int threads)
    : scheduler_(scheduler), ops_(std::move(ops)) {
  threads_.reserve(static_cast<std::size_t>(threads));
  try {
    for (int i = 0; i < threads; ++i)
      threads_.push_back(StartThread("vista-worker", [this] { Work(); }));
  } catch (...) {
    scheduler_->Stop("not all workers could be started");
    Join();
    throw;
  }
}

NativeExecutor::~NativeExecutor() { Join(); }

void NativeExecutor::Join() {
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void NativeExecutor::Work() {
  while (const std::optional<sched::Batch> batch = scheduler_->Take(sched::kNativeLane))
    Run(*batch);
}

void NativeExecutor::Add(sched::OpId id, std::unique_ptr<NativeOp> op) {
  const std::lock_guard lock(ops_mutex_);
  ops_.emplace(id, std::move(op));
}

void NativeExecutor::Run(const sched::Batch& batch) {
  const NativeOp& op = [&]() -> const NativeOp& {
    const std::shared_lock lock(ops_mutex_);
    return *ops_.at(batch.op);
  }();
  try {
    scheduler_->Complete(batch.id, op.Run(*batch.calls));
  } catch (const std::bad_alloc&) {
    scheduler_->Fail(
        batch.id,
        Status::ResourceExhausted("Op '" + op.spec().name +
                                  "' found no memory; give smaller arguments, or fewer at a time"));
  } catch (const std::exception& error) {
    scheduler_->Fail(batch.id,
                     Status::Internal("Op '" + op.spec().name + "' threw: " + error.what()));
  } catch (...) {
    scheduler_->Fail(
        batch.id, Status::Internal("Op '" + op.spec().name + "' threw an object of unknown type"));
  }
}

}  // namespace vista::exec
