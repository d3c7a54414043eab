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
  return idle_.wait_for(lock, timeout, [&] { return requests_.size() == 0; });
}

void Scheduler::Stop(const std::string& why) {
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
