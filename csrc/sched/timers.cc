// What time brings about in the Scheduler: deadlines that pass, and Leases that take too long.
#include <algorithm>
#include <chrono>
#include <string>

#include "sched/scheduler.h"
#include "sched/transaction.h"

namespace vista::sched {
namespace {

Status NoRoom(const OpState& op) {
  return Status::ResourceExhausted(
      "the call of '" + op.spec.name +
      "' found no room in the engine within its room_timeout; allow more time, submit less at "
      "once, "
      "or raise the engine's max_calls, its max_bytes or the Op's max_queue");
}

}  // namespace

Status Scheduler::Expired(const OpState& op) {
  return Status::DeadlineExceeded("the call of '" + op.spec.name +
                                  "' passed its deadline; allow more time or submit less at once");
}

// The timer thread sleeps until the first timer is due; only a new first one concerns it.
void Scheduler::SetTimer(Transaction* transaction, Request* request, TimePoint at) {
  if (request->timer != kNever) request_timers_.erase({request->timer, request->id});
  request->timer = at;
  if (at == kNever) return;
  request_timers_.emplace(at, request->id);
  if (request_timers_.begin()->second == request->id) transaction->WakeTimer();
}

TimePoint Scheduler::ExpireDue() {
  Transaction transaction(this);
  return ExpireDue(&transaction, clock_->Now());
}

TimePoint Scheduler::ExpireDue(Transaction* transaction, TimePoint now) {
  while (!request_timers_.empty() && request_timers_.begin()->first <= now) {
    TimeOut(transaction, requests_.Find(request_timers_.begin()->second), now);
  }
  while (!batch_timers_.empty() && batch_timers_.begin()->first <= now) {
    const BatchId id = batch_timers_.begin()->second;
    const OpSpec& spec = running_.at(id).op->spec;
    const double seconds = std::chrono::duration<double>(spec.timeout).count();
    Lose(transaction, id,
         Status::Aborted("the batch function of '" + spec.name +
                         "' did not return within its timeout of " + std::to_string(seconds) +
                         " s; find out why it hangs, or allow it more (Op timeout)"),
         now);
  }
  return std::min(request_timers_.empty() ? kNever : request_timers_.begin()->first,
                  batch_timers_.empty() ? kNever : batch_timers_.begin()->first);
}

void Scheduler::TimeOut(Transaction* transaction, Request* request, TimePoint now) {
  const OpState& op = *request->flight->op;
  if (request->hard_deadline <= now) {
    Detach(transaction, request, Expired(op), now);
  } else if (request->flight->state == FlightState::kLobby) {
    Detach(transaction, request, NoRoom(op), now);
  } else {
    SetTimer(transaction, request, request->hard_deadline);
  }
}

void Scheduler::ServeTimers() {
  while (true) {
    // The transaction delivers when it ends, so the wait for the next timer is a stay of its own.
    const TimePoint next = ExpireDue();
    std::unique_lock lock(mutex_);
    const auto earlier_timer = [&] {
      return stopped_ || (!request_timers_.empty() && request_timers_.begin()->first < next) ||
             (!batch_timers_.empty() && batch_timers_.begin()->first < next);
    };
    if (next == kNever) {
      timer_.wait(lock, earlier_timer);
    } else {
      timer_.wait_until(lock, next, earlier_timer);
    }
    if (stopped_) return;
  }
}

}  // namespace vista::sched
