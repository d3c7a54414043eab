// EngineCore: the engine as Python calls it. Every method needs the GIL; those that block release
// it.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "call_options.h"
#include "completions.h"
#include "exec/engine.h"
#include "prepared_op.h"

namespace vista::python {

// The Requests of one submit_many.
struct Many {
  std::shared_ptr<ManyCompletions> completions;
  std::vector<sched::RequestId> requests;
};

// One result per call of a Batch, or why it failed as a whole.
using BatchResults = Result<std::vector<Result<Value>>>;

// The Batch that a puller's thread has leased and not ended; 0 when there is none. It is kept here,
// not in a Python variable, because an exception may come between a call into the core and the
// storing of what that gave. Its results are empty until it has run.
struct HeldBatch {
  sched::BatchId id = 0;
  std::optional<BatchResults> results;
};

class EngineCore final : public sched::Listener {
 public:
  EngineCore(int threads, std::size_t cache_bytes, std::size_t max_flights, std::size_t max_bytes);
  ~EngineCore() override;
  EngineCore(const EngineCore&) = delete;
  EngineCore& operator=(const EngineCore&) = delete;

  // What opens the image of a native Op's call that is given as something else: a callable of the
  // source that gives an Image. Set it before the first call.
  void OpenImagesWith(pybind11::object open_image) { open_image_ = std::move(open_image); }
  // From now on a call of `op` whose image is an instance of `image_type` is one of the Op `to`.
  // Once per Op.
  void Redirect(const std::string& op, pybind11::object image_type, const std::string& to);

  // An Op with a batch function in Python. `key` and `size` are callables on a call's arguments, or
  // None.
  sched::OpId Register(sched::OpSpec spec, pybind11::object key, pybind11::object size);
  // One more native Op. An image that is given as something else is opened by `open_image`, as in
  // OpenImagesWith.
  void AddOp(const PreparedOp& prepared, pybind11::object open_image);
  [[nodiscard]] pybind11::list OpNames() const;
  // Whether this is the copy of an engine in the child of a fork: its threads and its locks are the
  // parent's.
  [[nodiscard]] bool CarriedAcrossFork() const;
  // Raises in that child.
  void CheckAlive() const;
  // Raises there, and when the engine is closed.
  void CheckOpen() const;

  struct Op;
  // Raises when there is none of that name. An Op stays where it is.
  [[nodiscard]] const Op& Find(const std::string& name) const;

  // The Completion goes to the queue with the future as its token. The id is 0 when the call has
  // completed already.
  sched::RequestId Submit(const Op& op, pybind11::dict arguments, const CallOptions& options,
                          const std::shared_ptr<CompletionQueue>& queue, pybind11::object future,
                          bool wait_for_room);
  std::unique_ptr<Many> SubmitMany(const std::string& op, pybind11::list calls,
                                   const CallOptions& options);
  // Blocks for the result, and raises what went wrong.
  pybind11::object CallAndWait(const std::string& op, pybind11::dict arguments,
                               const CallOptions& options);
  bool Cancel(sched::RequestId request);

  sched::ExpectationId Expect(const std::string& op, sched::Flow flow);
  void Release(sched::ExpectationId expectation);

  // Ends the Lease in hand, if any, with what Complete or Fail has put down; then blocks until
  // there is a Batch, and gives the list of its argument dicts. None once the engine has stopped,
  // and when the Lease in hand was lost, as its puller has been replaced then.
  pybind11::object Lease(sched::OpId op, HeldBatch* held);
  void Complete(sched::OpId op, HeldBatch* held, const pybind11::object& results);
  void Fail(sched::OpId op, HeldBatch* held, const pybind11::object& exception);
  // Says that a puller ends that was still wanted: the Batch that it holds is aborted, and the
  // puller counts among the lost ones, unless it did so already.
  void Lose(sched::OpId op, const HeldBatch& held);
  // Ids of the Ops that lost a puller since the last time; the watching queue is poked when there
  // are any.
  std::vector<sched::OpId> TakeLostPullers();
  void WatchLostPullers(const std::shared_ptr<CompletionQueue>& queue);

  void StartTrace(std::size_t capacity);
  // What happened since StartTrace: {"ops": names by id, "batches": [(op, batch, started, ended,
  // size)], "requests": [(op, flow, arrived, completed, outcome, status, last batch or 0)],
  // "left_out": spans beyond the capacity}, in seconds of time.monotonic.
  pybind11::dict StopTrace();
  pybind11::dict Stats();
  void Close(double timeout);

 private:
  void PullerLost(sched::OpId op) override;
  bool EndHeld(HeldBatch* held);
  // Now, for options that count from it; the clock is not read for others.
  [[nodiscard]] TimePoint TimeOf(const CallOptions& options) const;
  void AwaitAdmission(sched::RequestId request);
  Result<sched::Call> MakeCall(const Op& op, const pybind11::dict& arguments,
                               const CallOptions& options, TimePoint now);
  void AddNative(const exec::Engine::NativeEntry& entry, pybind11::object open_image);
  // The arguments with their image opened; the given dict is left as it is.
  [[nodiscard]] pybind11::dict WithOpenImage(const Op& op, const pybind11::dict& arguments) const;
  Status FillNative(const Op& op, const pybind11::dict& arguments, sched::Call* call) const;
  Status FillForeign(const Op& op, const pybind11::dict& arguments, sched::Call* call) const;

  const unsigned forks_at_start_;
  std::unique_ptr<exec::Engine> engine_;
  pybind11::object open_image_;
  std::unordered_map<std::string, Op> by_name_;
  std::vector<const Op*> by_id_;

  std::mutex lost_mutex_;
  std::vector<sched::OpId> lost_pullers_;
  std::weak_ptr<CompletionQueue> lost_queue_;
};

struct EngineCore::Op {
  sched::OpId id = 0;
  sched::LaneId lane = sched::kNativeLane;
  const exec::NativeOp* native = nullptr;  // null: its batch function is in Python
  std::string name;
  bool cacheable = true;
  std::string identity_prefix;
  pybind11::object key;
  pybind11::object size;
  pybind11::object open_image;  // of a native Op whose images are none of the host

  struct Elsewhere {
    pybind11::object image_type;
    const Op* to;
  };
  std::optional<Elsewhere> elsewhere;  // where images of another kind go
  // This Op, or the one that runs a call with these arguments in its place.
  [[nodiscard]] const Op& ThatRuns(const pybind11::dict& arguments) const;
};

// Counts forks from now on; call it once, when the module loads.
void WatchForks();

}  // namespace vista::python
