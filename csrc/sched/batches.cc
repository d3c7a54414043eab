// The pullers' side of the Scheduler: which Batch goes next, how it starts and how it ends.
#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>

#include "base/spin.h"
#include "sched/scheduler.h"
#include "sched/transaction.h"

namespace vista::sched {

std::optional<Batch> Scheduler::TryTake(LaneId lane, TimePoint* look_again) {
  Transaction transaction(this);
  *look_again = kNever;
  return Take(&transaction, lanes_[lane].get(), clock_->Now(), look_again);
}

std::optional<Batch> Scheduler::Take(LaneId lane_id, const std::function<void()>& before_blocking) {
  Transaction transaction(this);
  Lane* lane = lanes_[lane_id].get();
  std::optional<TimePoint> idle_since;
  bool may_spin = true;
  bool is_told = !before_blocking;
  while (!stopped_) {
    const TimePoint now = clock_->Now();
    TimePoint look_again = kNever;
    if (lane->idle >= lane->stand_ins) {
      if (auto batch = Take(&transaction, lane, now, &look_again)) {
        if (idle_since) lane->latest_idle_time = now - *idle_since;
        return batch;
      }
    }
    if (!idle_since) idle_since = now;
    if (look_again == kNever && may_spin && lane->SpinPays()) {
      Spin(lane, transaction.lock());
    } else if (!is_told) {
      is_told = true;
      transaction.lock()->unlock();
      before_blocking();
      transaction.lock()->lock();
    } else {
      AwaitWork(lane, look_again, transaction.lock());
    }
    may_spin = false;
  }
  return std::nullopt;
}

void Scheduler::Spin(Lane* lane, std::unique_lock<std::mutex>* lock) {
  ++lane->idle;
  lane->spins = true;
  const std::uint32_t seen = lane->signals.load(std::memory_order_relaxed);
  lock->unlock();
  SpinUntil([&] { return lane->signals.load(std::memory_order_relaxed) != seen; });
  lock->lock();
  lane->spins = false;
  --lane->idle;
}

void Scheduler::AwaitWork(Lane* lane, TimePoint look_again, std::unique_lock<std::mutex>* lock) {
  ++lane->idle;
  if (look_again == kNever) {
    lane->work.wait(*lock);
  } else {
    lane->work.wait_until(*lock, look_again);
  }
  --lane->idle;
}

std::optional<Batch> Scheduler::Take(Transaction* transaction, Lane* lane, TimePoint now,
                                     TimePoint* look_again) {
  if (stopped_) return std::nullopt;
  const std::optional<Candidate> best = BestCandidate(*lane, now, look_again);
  if (!best) return std::nullopt;
  Batch batch = Start(transaction, *best, PopMembers(*best, now), now);
  AdmitFromLobby(transaction, now);
  const bool more = std::any_of(lane->ops.begin(), lane->ops.end(), [](const OpState* op) {
    return op->waiting > 0 && !op->AtLimit();
  });
  if (more) transaction->Wake(lane);
  return batch;
}

namespace {

// Of the Batches that can close now: the one with the highest priority; then the one whose soft
// deadline is in danger; then the one with the flow in the earliest round; then the one that has
// waited longest.
template <typename Candidate>
void KeepBetter(const Candidate& candidate, std::optional<Candidate>* best) {
  const auto rank = [](const Candidate& c) {
    return std::tuple(~c.priority, c.urgent_deadline, c.round, c.oldest_arrival);
  };
  if (!*best || rank(candidate) < rank(**best)) *best = candidate;
}

}  // namespace

std::optional<Scheduler::Candidate> Scheduler::BestCandidate(const Lane& lane, TimePoint now,
                                                             TimePoint* look_again) {
  std::optional<Candidate> best;
  for (OpState* op : lane.ops) {
    if (op->waiting == 0 || op->AtLimit()) continue;
    if (!op->alone.empty()) {
      KeepBetter(MakeCandidate(op, &op->alone, {true, CloseReason::kAlone, 1}, now), &best);
    }
    const std::size_t free_pullers = std::min(lane.idle + 1 - lane.stand_ins, op->FreeBatches());
    for (auto& [compatibility, queue] : op->queues) {
      ConsiderQueue(op, &queue, free_pullers, now, &best, look_again);
    }
  }
  return best;
}

void Scheduler::ConsiderQueue(OpState* op, WaitQueue* queue, std::size_t free_pullers,
                              TimePoint now, std::optional<Candidate>* best,
                              TimePoint* look_again) {
  BatchPolicy policy = op->spec.policy;
  policy.max_batch = std::min(policy.max_batch, op->FreeCalls());
  QueueView view;
  view.waiting = queue->size();
  view.oldest_arrival = queue->oldest_arrival();
  const Flight* soonest = queue->soonest();
  if (soonest != nullptr) {
    view.earliest_soft_deadline = soonest->soft_deadline;
    view.service_estimate =
        op->ServiceEstimate(*queue, std::min(view.waiting, policy.max_batch), *soonest);
  }
  view.open_expectations = expectations_.open(op->id);
  view.draining = closing_;
  if (policy.adaptive) {
    view.latest_arrival = queue->latest_arrival();
    view.free_pullers = free_pullers;
    view.expects = expectations_.used(op->id);
    view.service_times = &op->service_times;
    view.arrival_gaps = &op->arrival_gaps;
  }
  const Decision decision = Decide(policy, view, now);
  if (!decision.close) {
    queue->Hold(now);
    *look_again = std::min(*look_again, decision.look_again);
    return;
  }
  KeepBetter(MakeCandidate(op, queue, decision, now), best);
}

Scheduler::Candidate Scheduler::MakeCandidate(OpState* op, WaitQueue* queue,
                                              const Decision& decision, TimePoint now) {
  Candidate candidate{op, queue, decision.reason, queue->top_priority()};
  if (const Flight* hurried = queue->top_soonest()) {
    const Duration service = op->ServiceEstimate(*queue, decision.size, *hurried);
    const bool urgent = hurried->soft_deadline < After(now, service);
    if (urgent) candidate.urgent_deadline = hurried->soft_deadline;
  }
  // What ran before and is to run alone has had its turn.
  if (decision.reason != CloseReason::kAlone) candidate.round = queue->next_round();
  candidate.oldest_arrival = queue->oldest_arrival();
  candidate.size = decision.size;
  return candidate;
}

std::vector<Flight*> Scheduler::PopMembers(const Candidate& candidate, TimePoint now) {
  OpState* op = candidate.op;
  WaitQueue* queue = candidate.queue;
  std::vector<Flight*> members(candidate.size);
  for (Flight*& member : members) {
    member = op->NextOf(*queue, std::min(candidate.size, queue->size()), now);
    queue->Serve(member, op->service_times.OfCall(member->size));
    if (candidate.reason == CloseReason::kAlone) continue;
    const TimePoint ready = std::max(member->arrived, std::min(queue->held_since(), now));
    op->stats.queue.Add(Elapsed(member->arrived, ready));
    op->stats.batch_wait.Add(Elapsed(ready, now));
  }
  queue->Release();
  if (queue != &op->alone && queue->empty()) op->queues.erase(members.front()->compatibility);
  return members;
}

Batch Scheduler::Start(Transaction* transaction, const Candidate& candidate,
                       std::vector<Flight*> members, TimePoint now) {
  OpState* op = candidate.op;
  const BatchId id = next_batch_++;
  auto calls = std::make_shared<std::vector<Value>>();
  calls->reserve(members.size());
  for (Flight* flight : members) {
    flight->state = FlightState::kRunning;
    flight->batch = id;
    calls->push_back(std::move(flight->arguments));
  }
  op->waiting -= members.size();
  ++op->running_batches;
  op->running_calls += members.size();
  ++op->stats.batches;
  ++op->stats.close_reasons[static_cast<std::size_t>(candidate.reason)];
  op->stats.batch_size.Add(members.size());

  Running running{op, std::move(members), calls, now};
  if (op->lane->leased && op->spec.timeout.count() > 0) {
    running.times_out = After(now, op->spec.timeout);
    if (running.times_out != kNever) batch_timers_.emplace(running.times_out, id);
    if (!batch_timers_.empty() && batch_timers_.begin()->second == id) transaction->WakeTimer();
  }
  running_.emplace(id, std::move(running));
  return {id, op->id, std::move(calls)};
}

// Takes a Batch out of the running ones; nothing when it is not among them any more.
std::optional<Scheduler::Running> Scheduler::EndBatch(Transaction* transaction, BatchId id,
                                                      TimePoint now) {
  const auto at = running_.find(id);
  if (at == running_.end()) return std::nullopt;
  Running batch = std::move(at->second);
  running_.erase(at);
  if (batch.times_out != kNever) batch_timers_.erase({batch.times_out, id});
  OpState* op = batch.op;
  --op->running_batches;
  op->running_calls -= batch.members.size();
  if (batch.in_place) --op->lane->stand_ins;
  tracer_.Add({op->id, id, batch.started, now, batch.members.size()});
  op->stats.run.Add(Elapsed(batch.started, now));
  transaction->LetGo(batch.calls);
  return batch;
}

// A Batch that came back tells how long the next one will take.
void Scheduler::LearnFrom(const Running& batch, TimePoint now) {
  std::vector<double> sizes;
  sizes.reserve(batch.members.size());
  for (const Flight* flight : batch.members) sizes.push_back(flight->size);
  batch.op->service_times.Observe(sizes, now - batch.started);
}

bool Scheduler::Complete(BatchId id, std::vector<Result<Value>> results) {
  Transaction transaction(this);
  const TimePoint now = clock_->Now();
  std::optional<Running> batch = EndBatch(&transaction, id, now);
  if (!batch) return false;
  LearnFrom(*batch, now);
  transaction.Reserve(batch->members.size());
  if (results.size() != batch->members.size()) {
    RunAgainAlone(&transaction, &*batch,
                  Status::Internal("Op '" + batch->op->spec.name + "' returned " +
                                   std::to_string(results.size()) + " results for " +
                                   std::to_string(batch->members.size()) +
                                   " calls; it must return one per call, in their order"),
                  now);
  } else {
    for (std::size_t i = 0; i < results.size(); ++i) {
      CompleteFlight(&transaction, batch->members[i], std::move(results[i]), now);
    }
  }
  AdmitFromLobby(&transaction, now);
  if (!batch->op->lane->NothingWaits()) transaction.Wake(batch->op->lane);
  return true;
}

bool Scheduler::Fail(BatchId id, const Status& why) {
  Transaction transaction(this);
  const TimePoint now = clock_->Now();
  std::optional<Running> batch = EndBatch(&transaction, id, now);
  if (!batch) return false;
  LearnFrom(*batch, now);
  RunAgainAlone(&transaction, &*batch, why, now);
  AdmitFromLobby(&transaction, now);
  if (!batch->op->lane->NothingWaits()) transaction.Wake(batch->op->lane);
  return true;
}

void Scheduler::CompleteFlight(Transaction* transaction, Flight* flight, Result<Value> result,
                               TimePoint now) {
  const OpId op = flight->op->id;
  ResultRef value;
  const Status status = result.status();
  if (result.ok()) {
    value = std::make_shared<const Value>(std::move(result).value());
  }
  while (!flight->waiters.empty()) Finish(transaction, flight->waiters.front(), status, value, now);
  Identity identity;
  if (!flight->identity.bytes.empty()) {
    flights_.erase(&flight->identity);
    identity = std::exchange(flight->identity, {});
  }
  Drop(transaction, flight);
  if (value && !identity.bytes.empty() && value->MayBeKept()) {
    const std::size_t bytes = value->bytes();
    cache_.Insert(op, std::move(identity), std::move(value), bytes, transaction->evicted());
  }
}

// One poisoned member fails alone: the members of a Batch that failed as a whole run by themselves,
// each once.
void Scheduler::RunAgainAlone(Transaction* transaction, Running* batch, const Status& why,
                              TimePoint now) {
  OpState* op = batch->op;
  const bool was_alone = batch->members.size() == 1;
  for (std::size_t i = 0; i < batch->members.size(); ++i) {
    Flight* flight = batch->members[i];
    if (was_alone) {
      CompleteFlight(transaction, flight, why, now);
    } else if (flight->waiters.empty()) {
      Drop(transaction, flight);
    } else {
      flight->arguments = (*batch->calls)[i];
      flight->state = FlightState::kWaiting;
      op->alone.Push(flight);
      ++op->waiting;
      ++op->stats.rerun_alone;
    }
  }
}

bool Scheduler::Lose(BatchId id, const Status& why) {
  Transaction transaction(this);
  const TimePoint now = clock_->Now();
  if (!running_.contains(id)) return false;
  Lose(&transaction, id, why, now);
  return true;
}

// Nobody knows what a lost Batch has done, so its members are not run again unasked.
void Scheduler::Lose(Transaction* transaction, BatchId id, const Status& why, TimePoint now) {
  const std::optional<Running> batch = EndBatch(transaction, id, now);
  ++batch->op->stats.lost_pullers;
  transaction->NotePullerLost(batch->op->id);
  for (Flight* flight : batch->members) CompleteFlight(transaction, flight, why, now);
  AdmitFromLobby(transaction, now);
  transaction->Wake(batch->op->lane);
}

// A Lease that outlives all its Requests, some of them by their hard deadline, may never come back;
// its puller is replaced so that others go on.
void Scheduler::LoseIfDeserted(Transaction* transaction, BatchId id, TimePoint now) {
  const Running& batch = running_.at(id);
  if (!batch.op->lane->leased || !batch.expired_members) return;
  const bool deserted = std::all_of(batch.members.begin(), batch.members.end(),
                                    [](const Flight* flight) { return flight->waiters.empty(); });
  if (deserted) Lose(transaction, id, Status::Aborted("its Batch outlived all its callers"), now);
}

}  // namespace vista::sched
