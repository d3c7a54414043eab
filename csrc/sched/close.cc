// The Scheduler's end: accepted calls are completed, or aborted where time is up, and every puller
// goes home.
#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "sched/scheduler.h"
#include "sched/transaction.h"

namespace vista::sched {

void Scheduler::BeginClose() {
  Transaction transaction(this);
  closing_ = true;
  for (const auto& lane : lanes_) transaction.Wake(lane.get());
}

bool Scheduler::AwaitIdle(Duration timeout) {
  std::unique_lock lock(mutex_);
  ++idle_waiters_;
  const bool is_idle = idle_.wait_for(
      lock, timeout, [this] { return requests_.size() == 0 && delivering_.load() == 0; });
  --idle_waiters_;
  return is_idle;
}

// Takes the lock only when someone waits for it. The waiter counts itself before it looks at the
// deliveries, and this does both in the other order, so that one of them sees the other.
void Scheduler::EndDelivery() {
  if (delivering_.fetch_sub(1) > 1 || idle_waiters_.load() == 0) return;
  {
    const std::lock_guard lock(mutex_);
  }
  idle_.notify_all();
}

void Scheduler::AwaitDelivered() {
  std::unique_lock lock(mutex_);
  ++idle_waiters_;
  idle_.wait(lock, [this] { return delivering_.load() == 0; });
  --idle_waiters_;
}

void Scheduler::Stop(const std::string& why) {
  AbortAll(why);
  AwaitDelivered();
}

void Scheduler::AbortAll(const std::string& why) {
  Transaction transaction(this);
  closing_ = true;
  const TimePoint now = clock_->Now();
  std::vector<Flight*> flights;
  for (const auto& [id, batch] : running_) {
    std::copy_if(batch.members.begin(), batch.members.end(), std::back_inserter(flights),
                 [](const Flight* flight) { return flight->waiters.empty(); });
    batch.op->running_batches = 0;
    batch.op->running_calls = 0;
    transaction.LetGo(batch.calls);
  }
  running_.clear();
  batch_timers_.clear();
  requests_.ForEach([&](RequestId, Request* request) {
    Flight* flight = request->flight;
    Finish(&transaction, request, Status::Aborted(why), nullptr, now);
    if (flight->waiters.empty()) flights.push_back(flight);
  });
  for (Flight* flight : flights) Drop(&transaction, flight);
  cache_.Clear(transaction.evicted());
  stopped_ = true;
  for (const auto& lane : lanes_) lane->work.notify_all();
  transaction.WakeTimer();
  transaction.WakeIdle();
  transaction.WakeAdmitted();
}

}  // namespace vista::sched
