// Scheduler: accepts Requests, joins the equal ones, hands Batches to pullers and delivers
// Completions.
//
// One lock guards all of it. Nothing foreign runs under that lock: completions are delivered,
// pullers woken and values let go of after it is released. Every accepted Request completes exactly
// once.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/status.h"
#include "base/value.h"
#include "sched/admission.h"
#include "sched/completion.h"
#include "sched/expectations.h"
#include "sched/flight.h"
#include "sched/op_spec.h"
#include "sched/op_state.h"
#include "sched/op_stats.h"
#include "sched/result_cache.h"
#include "sched/slab.h"
#include "sched/trace.h"

namespace vista::sched {

// What a caller hands in to become a Request.
struct Call {
  OpId op = 0;
  Value arguments;
  // Those Objects in the arguments that other calls may hold too, such as Images: in the limit of
  // bytes each counts once. They are among arguments.bytes().
  std::vector<ObjectRef> objects;
  Identity identity;
  CallTraits traits;
  Flow flow = 0;
  Priority priority = 0;
  TimePoint soft_deadline = kNever;
  TimePoint hard_deadline = kNever;
  TimePoint room_deadline = kNever;  // when to give up waiting for admission
  bool nested = false;    // made on behalf of an admitted call: never waits for admission
  std::size_t bytes = 0;  // of the arguments without `objects`; Submit sets it, without the lock
  std::uint64_t token = 0;
};

// The start of a call's identity; the canonical bytes of its arguments follow.
std::string IdentityPrefix(const OpSpec& spec);

using LaneId = std::size_t;
inline constexpr LaneId kNativeLane = 0;

// Requests of one Op to run together. `calls` stays valid as long as someone holds it, whatever
// becomes of the Requests.
struct Batch {
  BatchId id = 0;
  OpId op = 0;
  std::shared_ptr<const std::vector<Value>> calls;
};

class Listener {
 public:
  virtual ~Listener() = default;
  // A Lease of this Op was lost: its puller may never come back. Called without the scheduler's
  // lock; must not throw.
  virtual void PullerLost(OpId op) = 0;
};

class Scheduler {
 public:
  struct Options {
    std::size_t cache_bytes = std::size_t{256} << 20;
    AdmissionLimits limits;
  };

  // The clock and the listener outlive the scheduler; the listener may be null.
  Scheduler(const Options& options, const Clock* clock, Listener* listener);
  ~Scheduler();
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  struct AddedOp {
    OpId id;
    LaneId lane;
  };
  // A leased Op gets a lane of its own; else it joins kNativeLane.
  Result<AddedOp> AddOp(OpSpec spec, bool leased);

  // Accepts all calls, moving from them, or none (closed). `ids` gets one id per call: 0 for one
  // that completed at once.
  Status Submit(std::span<Call> calls, const SinkRef& sink, std::span<RequestId> ids);
  // The same for one call whose caller blocks for it. While a puller of its lane idles and nothing
  // else waits, the caller may take that puller's place, which saves two wake-ups: `batch` is this
  // call alone, for the caller to run and to complete.
  Status SubmitInPlace(Call* call, const SinkRef& sink, RequestId* id, std::optional<Batch>* batch);
  // Completes a Request as cancelled; false when it has completed already.
  bool Cancel(RequestId id);
  // Whether no Flight waits for admission just now. Takes no lock.
  [[nodiscard]] bool LobbyIsEmpty() const { return admission_.waiting() == 0; }
  // Blocks until the Request is out of the lobby, or `timeout` has passed; true in the first case.
  bool AwaitAdmission(RequestId id, Duration timeout);

  ExpectationId Expect(OpId op, Flow flow);
  void Release(ExpectationId id);

  // The lane's next Batch, when one can close now; else nothing, and `look_again` is when time
  // alone may change that.
  std::optional<Batch> TryTake(LaneId lane, TimePoint* look_again);
  // Blocks until there is a Batch; nothing once the scheduler has stopped. `before_blocking` runs
  // once, without the lock, when there is none at first.
  std::optional<Batch> Take(LaneId lane, const std::function<void()>& before_blocking = {});
  // Ends a Batch with one result per call. The wrong number of results is a failure of the whole.
  // False when the Batch was lost or the scheduler stopped: the results are ignored.
  bool Complete(BatchId id, std::vector<Result<Value>> results);
  // Ends a Batch that failed as a whole: its members run again one by one; a member that was alone
  // fails with `why`.
  bool Fail(BatchId id, const Status& why);
  // Gives a Batch up whose puller will never end it: its Requests complete with `why`, and whether
  // to try again is their callers' to say. False when it has ended, or was lost before.
  bool Lose(BatchId id, const Status& why);

  // Expires what is due; gives the time of what is due next.
  TimePoint ExpireDue();
  // Expires things when they are due, until the scheduler stops. For a thread of its own.
  void ServeTimers();

  // The end (close.cc). From now on Submit refuses and no Batch waits for company.
  void BeginClose();
  // Blocks until no Request is outstanding and every Completion is delivered, or `timeout` has
  // passed; true in the first case.
  bool AwaitIdle(Duration timeout);
  // Completes what is outstanding as aborted with this message and sends every puller home. When it
  // returns, no sink gets anything any more, whichever thread had it in hand.
  void Stop(const std::string& why);

  SchedulerStats Stats();
  // Keeps spans, at most `capacity` of each kind, until StopTrace takes them.
  void StartTrace(std::size_t capacity);
  Trace StopTrace();

 private:
  class Transaction;
  struct Running {
    OpState* op = nullptr;
    std::vector<Flight*> members;
    std::shared_ptr<const std::vector<Value>> calls;
    TimePoint started;
    TimePoint times_out = kNever;
    bool in_place = false;         // a caller runs it that stands in for an idle puller
    bool expired_members = false;  // a hard deadline took a waiter while it ran
  };
  struct Candidate {
    OpState* op = nullptr;
    WaitQueue* queue = nullptr;
    CloseReason reason = CloseReason::kFull;
    Priority priority = 0;
    TimePoint urgent_deadline = kNever;
    Round round = std::numeric_limits<Round>::min();
    TimePoint oldest_arrival = kNever;
    std::size_t size = 1;
  };
  using Timers = std::set<std::pair<TimePoint, std::uint64_t>>;

  // Requests (scheduler.cc). All private functions need the lock, which the Transaction holds.
  RequestId Accept(Transaction* transaction, Call* call, const SinkRef& sink, TimePoint now);
  Request* NewRequest(const Call& call, Flight* flight, Outcome outcome, const SinkRef& sink,
                      TimePoint now);
  void Join(Transaction* transaction, Flight* flight, const Call& call);
  void Enqueue(Transaction* transaction, Flight* flight);
  void AdmitFromLobby(Transaction* transaction, TimePoint now);
  void Count(OpState* op, const RequestSpan& span);
  void Finish(Transaction* transaction, Request* request, Status status, ResultRef result,
              TimePoint now);
  void Detach(Transaction* transaction, Request* request, Status status, TimePoint now);
  void UpdateUrgency(Flight* flight);
  void Drop(Transaction* transaction, Flight* flight);

  // What time brings about (timers.cc).
  static Status Expired(const OpState& op);
  void SetTimer(Transaction* transaction, Request* request, TimePoint at);
  TimePoint ExpireDue(Transaction* transaction, TimePoint now);
  void TimeOut(Transaction* transaction, Request* request, TimePoint now);

  // Batches (batches.cc).
  std::optional<Candidate> BestCandidate(const Lane& lane, TimePoint now, TimePoint* look_again);
  static void Spin(Lane* lane, std::unique_lock<std::mutex>* lock);
  static void AwaitWork(Lane* lane, TimePoint look_again, std::unique_lock<std::mutex>* lock);
  std::optional<Batch> Take(Transaction* transaction, Lane* lane, TimePoint now,
                            TimePoint* look_again);
  void ConsiderQueue(OpState* op, WaitQueue* queue, std::size_t free_pullers, TimePoint now,
                     std::optional<Candidate>* best, TimePoint* look_again);
  static Candidate MakeCandidate(OpState* op, WaitQueue* queue, const Decision& decision,
                                 TimePoint now);
  static std::vector<Flight*> PopMembers(const Candidate& candidate, TimePoint now);
  Batch Start(Transaction* transaction, const Candidate& candidate, std::vector<Flight*> members,
              TimePoint now);
  std::optional<Running> EndBatch(Transaction* transaction, BatchId id, TimePoint now);
  static void LearnFrom(const Running& batch, TimePoint now);
  void CompleteFlight(Transaction* transaction, Flight* flight, Result<Value> result,
                      TimePoint now);
  void RunAgainAlone(Transaction* transaction, Running* batch, const Status& why, TimePoint now);
  void Lose(Transaction* transaction, BatchId id, const Status& why, TimePoint now);
  void LoseIfDeserted(Transaction* transaction, BatchId id, TimePoint now);

  // The end (close.cc).
  void AbortAll(const std::string& why);
  void EndDelivery();
  void AwaitDelivered();

  const Clock* const clock_;
  Listener* const listener_;

  std::mutex mutex_;
  std::condition_variable timer_;
  std::condition_variable idle_;
  std::condition_variable admitted_;
  bool closing_ = false;
  bool stopped_ = false;
  // Transactions that have ended and still deliver; counted up under the lock.
  std::atomic<std::size_t> delivering_{0};
  std::atomic<std::size_t> idle_waiters_{0};

  std::vector<std::unique_ptr<OpState>> ops_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  Admission admission_;
  Expectations expectations_;
  ResultCache cache_;
  Tracer tracer_;
  Slab<Request> requests_;
  std::unordered_map<const Identity*, Flight*, IdentityHash, IdentityEqual> flights_;
  std::unordered_map<BatchId, Running> running_;
  BatchId next_batch_ = 1;
  Timers request_timers_;
  Timers batch_timers_;
};

}  // namespace vista::sched
