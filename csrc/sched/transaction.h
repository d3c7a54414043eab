// Scheduler::Transaction: one stay under the scheduler's lock. What must not happen under the lock
// (delivering, waking, letting values go) is noted here and done when the stay ends. Private to
// sched/.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "sched/scheduler.h"

namespace vista::sched {

class Scheduler::Transaction {
 public:
  explicit Transaction(Scheduler* scheduler) : scheduler_(scheduler), lock_(scheduler->mutex_) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // What a sink or the listener throws ends the process (CompletionSink says why).
  ~Transaction() {
    const bool delivers = !completions_.empty();
    if (delivers) scheduler_->delivering_.fetch_add(1);
    lock_.unlock();
    for (Lane* lane : lanes_) lane->work.notify_one();
    if (timer_) scheduler_->timer_.notify_all();
    if (idle_) scheduler_->idle_.notify_all();
    if (admitted_) scheduler_->admitted_.notify_all();
    DeliverAll();
    if (delivers) scheduler_->EndDelivery();
    for (const OpId op : lost_) scheduler_->listener_->PullerLost(op);
  }

  // Room for so many Completions.
  void Reserve(std::size_t completions) {
    sinks_.reserve(completions);
    completions_.reserve(completions);
  }

  // The lock itself, for waiting on a condition variable between two stays' worth of work.
  std::unique_lock<std::mutex>* lock() { return &lock_; }

  // Ends the process when there is no memory for it, as its Request is half gone by then.
  void Deliver(SinkRef sink, Completion completion) noexcept {
    sinks_.push_back(std::move(sink));
    completions_.push_back(std::move(completion));
  }
  void Wake(Lane* lane) {
    if (lane->spins) {
      lane->signals.fetch_add(1, std::memory_order_relaxed);
    } else if (lane->idle > 0 && std::find(lanes_.begin(), lanes_.end(), lane) == lanes_.end()) {
      lanes_.push_back(lane);
    }
  }
  void DoNotWake(Lane* lane) { std::erase(lanes_, lane); }
  void WakeTimer() { timer_ = true; }
  void WakeIdle() { idle_ = true; }
  void WakeAdmitted() { admitted_ = true; }
  void NotePullerLost(OpId op) {
    if (scheduler_->listener_ != nullptr) lost_.push_back(op);
  }
  void LetGo(std::unique_ptr<Flight> flight) { dropped_.push_back(std::move(flight)); }
  void LetGo(std::shared_ptr<const std::vector<Value>> calls) {
    calls_.push_back(std::move(calls));
  }
  std::vector<ResultRef>* evicted() { return &evicted_; }

 private:
  // One call per run of completions that go to the same sink.
  void DeliverAll() {
    for (std::size_t begin = 0; begin < sinks_.size();) {
      std::size_t end = begin + 1;
      while (end < sinks_.size() && sinks_[end] == sinks_[begin]) ++end;
      sinks_[begin]->Deliver(std::span(completions_).subspan(begin, end - begin));
      begin = end;
    }
  }

  Scheduler* scheduler_;
  std::unique_lock<std::mutex> lock_;
  std::vector<SinkRef> sinks_;
  std::vector<Completion> completions_;
  std::vector<Lane*> lanes_;
  std::vector<OpId> lost_;
  std::vector<std::unique_ptr<Flight>> dropped_;
  std::vector<std::shared_ptr<const std::vector<Value>>> calls_;
  std::vector<ResultRef> evicted_;
  bool timer_ = false;
  bool idle_ = false;
  bool admitted_ = false;
};

}  // namespace vista::sched
