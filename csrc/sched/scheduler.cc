#include "sched/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/canonical.h"
#include "sched/transaction.h"

namespace vista::sched {
namespace {

Status Closed() {
  return Status::FailedPrecondition("the engine is closed; create another Engine");
}

std::size_t OwnBytes(const Call& call) {
  std::size_t shared = 0;
  for (const ObjectRef& object : call.objects) shared += object->bytes();
  const std::size_t all = call.arguments.bytes();
  return all - std::min(all, shared);
}

}  // namespace

const char* OutcomeName(Outcome outcome) {
  switch (outcome) {
    case Outcome::kRun:
      return "run";
    case Outcome::kJoined:
      return "joined";
    case Outcome::kCached:
      return "cached";
  }
  return "unknown";
}

std::string IdentityPrefix(const OpSpec& spec) {
  std::string prefix;
  CanonicalWriter writer(&prefix);
  writer.String(spec.name);
  writer.String(spec.version);
  return prefix;
}

Scheduler::Scheduler(const Options& options, const Clock* clock, Listener* listener)
    : clock_(clock), listener_(listener), admission_(options.limits), cache_(options.cache_bytes) {
  lanes_.push_back(std::make_unique<Lane>());
}

Scheduler::~Scheduler() { Stop("the engine is gone"); }

Result<Scheduler::AddedOp> Scheduler::AddOp(OpSpec spec, bool leased) {
  const Transaction transaction(this);
  for (const auto& op : ops_) {
    if (op->spec.name == spec.name) {
      return Status::InvalidArgument("an Op named '" + spec.name +
                                     "' is registered already; choose another name");
    }
  }
  if (spec.policy.max_batch == 0) {
    return Status::InvalidArgument("max_batch of Op '" + spec.name +
                                   "' is 0; it must be at least 1");
  }
  if (leased) {
    lanes_.push_back(std::make_unique<Lane>());
    lanes_.back()->leased = true;
  }
  const LaneId lane = leased ? lanes_.size() - 1 : kNativeLane;
  auto op = std::make_unique<OpState>();
  op->id = static_cast<OpId>(ops_.size());
  op->spec = std::move(spec);
  op->lane = lanes_[lane].get();
  op->lane->ops.push_back(op.get());
  ops_.push_back(std::move(op));
  return AddedOp{ops_.back()->id, lane};
}

Status Scheduler::Submit(std::span<Call> calls, const SinkRef& sink, std::span<RequestId> ids) {
  for (Call& call : calls) call.bytes = OwnBytes(call);
  Transaction transaction(this);
  if (closing_) return Closed();
  const TimePoint now = clock_->Now();
  for (std::size_t i = 0; i < calls.size(); ++i) {
    ids[i] = Accept(&transaction, &calls[i], sink, now);
  }
  return {};
}

Status Scheduler::SubmitInPlace(Call* call, const SinkRef& sink, RequestId* id,
                                std::optional<Batch>* batch) {
  call->bytes = OwnBytes(*call);
  Transaction transaction(this);
  if (closing_) return Closed();
  const TimePoint now = clock_->Now();
  Lane* lane = ops_[call->op]->lane;
  const bool has_place = lane->idle > lane->stand_ins && lane->NothingWaits();
  *id = Accept(&transaction, call, sink, now);
  if (!has_place || lane->NothingWaits()) return {};
  transaction.DoNotWake(lane);
  ++lane->stand_ins;
  TimePoint look_again = kNever;
  *batch = Take(&transaction, lane, now, &look_again);
  if (*batch) {
    running_.at((*batch)->id).in_place = true;
  } else {
    --lane->stand_ins;
    transaction.Wake(lane);
  }
  return {};
}

RequestId Scheduler::Accept(Transaction* transaction, Call* call, const SinkRef& sink,
                            TimePoint now) {
  OpState* op = ops_[call->op].get();
  ++op->stats.submitted;
  if (expectations_.Arrive(op->id, call->flow)) transaction->Wake(op->lane);

  const bool has_identity = op->spec.cacheable && !call->identity.bytes.empty();
  if (has_identity) {
    if (ResultRef hit = cache_.Find(call->identity)) {
      ++op->stats.cached;
      Count(op, {op->id, call->flow, now, now, Outcome::kCached, StatusCode::kOk});
      transaction->Deliver(sink, {call->token, {}, std::move(hit), Outcome::kCached});
      return 0;
    }
    if (const auto at = flights_.find(&call->identity); at != flights_.end()) {
      ++op->stats.joined;
      Request* request = NewRequest(*call, at->second, Outcome::kJoined, sink, now);
      Join(transaction, at->second, *call);
      SetTimer(transaction, request, std::min(request->hard_deadline, request->room_deadline));
      return request->id;
    }
  }

  if (call->hard_deadline <= now) {
    Count(op, {op->id, call->flow, now, now, Outcome::kRun, StatusCode::kDeadlineExceeded});
    transaction->Deliver(sink, {call->token, Expired(*op), nullptr, Outcome::kRun});
    return 0;
  }
  auto* flight = new Flight;  // the scheduler owns it until Drop
  flight->op = op;
  flight->arguments = std::move(call->arguments);
  flight->objects = std::move(call->objects);
  flight->compatibility = std::move(call->traits.compatibility);
  flight->size =
      call->traits.size > 0 ? std::min(call->traits.size, ServiceTimes::kLargestSize) : 1;
  flight->bytes = call->bytes;
  flight->flow = call->flow;
  flight->priority = call->priority;
  flight->arrived = now;
  flight->soft_deadline = call->soft_deadline;
  if (has_identity) {
    flight->identity = std::move(call->identity);
    flights_.emplace(&flight->identity, flight);
  }
  Request* request = NewRequest(*call, flight, Outcome::kRun, sink, now);
  if (op->spec.policy.adaptive) op->NoteArrival(flight->compatibility, now);
  const bool admitted = admission_.Enter(flight, call->nested);
  if (admitted) Enqueue(transaction, flight);
  SetTimer(
      transaction, request,
      admitted ? request->hard_deadline : std::min(request->hard_deadline, request->room_deadline));
  return request->id;
}

Request* Scheduler::NewRequest(const Call& call, Flight* flight, Outcome outcome,
                               const SinkRef& sink, TimePoint now) {
  const auto [id, request] = requests_.Insert();
  request->id = id;
  request->flight = flight;
  request->sink = sink;
  request->token = call.token;
  request->outcome = outcome;
  request->flow = call.flow;
  request->priority = call.priority;
  request->arrived = now;
  request->soft_deadline = call.soft_deadline;
  request->hard_deadline = call.hard_deadline;
  request->room_deadline = call.room_deadline;
  flight->AddWaiter(request);
  return request;
}

void Scheduler::Join(Transaction* transaction, Flight* flight, const Call& call) {
  if (flight->state == FlightState::kLobby && call.nested) {
    admission_.LeaveLobby(flight);
    admission_.Enter(flight, true);
    Enqueue(transaction, flight);
    transaction->WakeAdmitted();
  }
  UpdateUrgency(flight);
  if (flight->state == FlightState::kWaiting) transaction->Wake(flight->op->lane);
}

// A Flight is as urgent as the most urgent of its waiters.
void Scheduler::UpdateUrgency(Flight* flight) {
  const Priority priority = flight->priorities.first();
  const TimePoint soft_deadline = flight->soft_deadlines.first();
  if (flight->queue != nullptr) {
    if (soft_deadline != flight->soft_deadline)
      flight->queue->SetSoftDeadline(flight, soft_deadline);
    if (priority != flight->priority) flight->queue->SetPriority(flight, priority);
  } else {
    flight->soft_deadline = soft_deadline;
    flight->priority = priority;
  }
}

void Scheduler::Enqueue(Transaction* transaction, Flight* flight) {
  OpState* op = flight->op;
  flight->state = FlightState::kWaiting;
  op->queues.try_emplace(flight->compatibility, &op->lane->turns).first->second.Push(flight);
  ++op->waiting;
  transaction->Wake(op->lane);
}

void Scheduler::AdmitFromLobby(Transaction* transaction, TimePoint now) {
  while (Flight* flight = admission_.AdmitNext(now)) {
    Enqueue(transaction, flight);
    transaction->WakeAdmitted();
  }
}

bool Scheduler::Cancel(RequestId id) {
  Transaction transaction(this);
  Request* request = requests_.Find(id);
  if (request == nullptr) return false;
  Detach(&transaction, request, Status::Cancelled("the call was cancelled"), clock_->Now());
  return true;
}

bool Scheduler::AwaitAdmission(RequestId id, Duration timeout) {
  std::unique_lock lock(mutex_);
  return admitted_.wait_for(lock, timeout, [&] {
    const Request* request = requests_.Find(id);
    return request == nullptr || request->flight->state != FlightState::kLobby;
  });
}

ExpectationId Scheduler::Expect(OpId op, Flow flow) {
  const Transaction transaction(this);
  return expectations_.Open(op, flow);
}

void Scheduler::Release(ExpectationId id) {
  Transaction transaction(this);
  if (const std::optional<OpId> op = expectations_.Release(id)) transaction.Wake(ops_[*op]->lane);
}

// A Request has come to its end.
void Scheduler::Count(OpState* op, const RequestSpan& span) {
  OpStats& stats = op->stats;
  switch (span.status) {
    case StatusCode::kOk:
      ++stats.succeeded;
      break;
    case StatusCode::kDeadlineExceeded:
      ++stats.expired;
      break;
    case StatusCode::kCancelled:
      ++stats.cancelled;
      break;
    case StatusCode::kAborted:
      ++stats.aborted;
      break;
    default:
      ++stats.failed;
  }
  stats.latency.Add(Elapsed(span.arrived, span.completed));
  tracer_.Add(span);
}

// The Request gets its Completion and ceases; its Flight loses a waiter.
void Scheduler::Finish(Transaction* transaction, Request* request, Status status, ResultRef result,
                       TimePoint now) {
  Count(request->flight->op, {request->flight->op->id, request->flow, request->arrived, now,
                              request->outcome, status.code(), request->flight->batch});
  transaction->Deliver(std::move(request->sink),
                       {request->token, std::move(status), std::move(result), request->outcome});
  request->flight->RemoveWaiter(request);
  if (request->timer != kNever) request_timers_.erase({request->timer, request->id});
  requests_.Erase(request->id);
  if (requests_.size() == 0) transaction->WakeIdle();
  if (admission_.waiting() > 0) transaction->WakeAdmitted();
}

// The Request goes without its Flight's result; the Flight goes on for its other waiters and is
// dropped with the last one. A running Flight runs to its end, and its result is cached.
void Scheduler::Detach(Transaction* transaction, Request* request, Status status, TimePoint now) {
  Flight* flight = request->flight;
  const bool expired = status.code() == StatusCode::kDeadlineExceeded;
  Finish(transaction, request, std::move(status), nullptr, now);
  if (!flight->waiters.empty()) UpdateUrgency(flight);
  if (flight->state == FlightState::kRunning) {
    if (expired) running_.at(flight->batch).expired_members = true;
    LoseIfDeserted(transaction, flight->batch, now);
  } else if (flight->waiters.empty()) {
    Drop(transaction, flight);
    AdmitFromLobby(transaction, now);
  }
}

void Scheduler::Drop(Transaction* transaction, Flight* flight) {
  OpState* op = flight->op;
  if (flight->state == FlightState::kLobby) {
    admission_.LeaveLobby(flight);
  } else {
    admission_.Leave(*flight);
  }
  if (flight->state == FlightState::kWaiting) {
    --op->waiting;
    WaitQueue* queue = flight->queue;
    queue->Remove(flight);
    if (queue != &op->alone && queue->empty()) op->queues.erase(flight->compatibility);
  }
  if (!flight->identity.bytes.empty()) flights_.erase(&flight->identity);
  transaction->LetGo(std::unique_ptr<Flight>(flight));
}

void Scheduler::StartTrace(std::size_t capacity) {
  const Transaction transaction(this);
  tracer_.Start(capacity);
}

Trace Scheduler::StopTrace() {
  const Transaction transaction(this);
  return tracer_.Stop();
}

SchedulerStats Scheduler::Stats() {
  const Transaction transaction(this);
  SchedulerStats stats;
  for (const auto& op : ops_) {
    OpStats copy = op->stats;
    copy.waiting = op->waiting;
    copy.running = op->running_batches;
    copy.expected = expectations_.open(op->id);
    const ResultCache::Share share = cache_.share(op->id);
    copy.evicted = share.evicted;
    copy.cached_bytes = share.bytes;
    stats.ops.emplace_back(op->spec.name, std::move(copy));
  }
  stats.outstanding = requests_.size();
  stats.flights = admission_.flights();
  stats.flight_bytes = admission_.bytes();
  stats.lobby = admission_.waiting();
  stats.cache_entries = cache_.size();
  stats.cache_bytes = cache_.bytes();
  stats.cache_budget = cache_.budget();
  return stats;
}

}  // namespace vista::sched
