#include "engine_core.h"

#include <pthread.h>

#include <atomic>
#include <cmath>
#include <string>
#include <system_error>
#include <utility>

#include "base/canonical.h"
#include "convert.h"
#include "errors.h"
#include "foreign.h"
#include "gil.h"

namespace py = pybind11;

namespace vista::python {
namespace {

// Between two looks at pending signals while a Python thread blocks: Ctrl-C is answered within this
// time.
constexpr Duration kSignalInterval = std::chrono::milliseconds(50);

std::atomic<unsigned> forks{0};

void AfterForkInChild() {
  forks.fetch_add(1);
  ResetReleases();
}

// Waits without the GIL in slices until `done(slice)` is true. Throws when a signal handler raises.
template <typename Done>
void BlockUntil(Done done) {
  while (true) {
    {
      const GilReleased no_gil;
      if (done(kSignalInterval)) return;
    }
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  }
}

Duration Seconds(double seconds) {
  constexpr double kLongest =
      1e9;  // seconds; beyond the life of any engine, and well inside a Duration
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(std::min(seconds, kLongest)));
}

TimePoint Deadline(const char* name, const std::optional<double>& seconds, TimePoint now) {
  if (!seconds) return kNever;
  if (std::isnan(*seconds)) {
    Raise(Status::InvalidArgument(std::string(name) + " is NaN; pass seconds from now, or None"));
  }
  return After(now, Seconds(std::max(*seconds, 0.0)));
}

std::uint64_t Token(py::object future) {
  return reinterpret_cast<std::uint64_t>(future.release().ptr());
}

}  // namespace

void WatchForks() { pthread_atfork(nullptr, nullptr, AfterForkInChild); }

EngineCore::EngineCore(int threads, std::size_t cache_bytes, std::size_t max_flights,
                       std::size_t max_bytes)
    : forks_at_start_(forks.load()) {
  exec::Engine::Options options;
  options.threads = threads;
  options.scheduler.cache_bytes = cache_bytes;
  options.scheduler.limits = {max_flights, max_bytes};
  try {
    engine_ = std::make_unique<exec::Engine>(options, ops::All(), this);
  } catch (const std::system_error& error) {
    Raise(Status::ResourceExhausted(std::to_string(threads) +
                                    " worker threads could not be started (" + error.what() +
                                    "); pass fewer threads, or raise the limits of this process"));
  }
  for (const exec::Engine::NativeEntry& entry : engine_->native_ops()) AddNative(entry, {});
}

void EngineCore::AddNative(const exec::Engine::NativeEntry& entry, py::object open_image) {
  const sched::OpSpec& spec = entry.op->spec();
  Op& op = by_name_[spec.name];
  op.id = entry.id;
  op.native = entry.op;
  op.name = spec.name;
  op.cacheable = spec.cacheable;
  op.identity_prefix = sched::IdentityPrefix(spec);
  op.open_image = std::move(open_image);
  by_id_.push_back(&op);
}

EngineCore::~EngineCore() {
  // After a fork the threads are the parent's, and their locks may be held for ever: the child lets
  // all of it be.
  if (CarriedAcrossFork()) {
    static_cast<void>(engine_.release());
    return;
  }
  {
    const GilReleased no_gil;
    engine_.reset();
  }
  ReleaseNow();
}

bool EngineCore::CarriedAcrossFork() const { return forks.load() != forks_at_start_; }

void EngineCore::CheckAlive() const {
  if (CarriedAcrossFork()) {
    Raise(Status::FailedPrecondition(
        "this Engine belongs to the parent process; create an Engine after fork, or use "
        "spawn"));
  }
}

void EngineCore::CheckOpen() const {
  CheckAlive();
  if (const Status open = engine_->scheduler().Submit({}, nullptr, {}); !open.ok()) Raise(open);
}

sched::OpId EngineCore::Register(sched::OpSpec spec, py::object key, py::object size) {
  CheckAlive();
  Op op;
  op.name = spec.name;
  op.cacheable = spec.cacheable;
  op.identity_prefix = sched::IdentityPrefix(spec);
  op.key = std::move(key);
  op.size = std::move(size);
  const auto added = ValueOrRaise(engine_->scheduler().AddOp(std::move(spec), /*leased=*/true));
  op.id = added.id;
  op.lane = added.lane;
  const auto at = by_name_.emplace(op.name, std::move(op)).first;
  by_id_.push_back(&at->second);
  return added.id;
}

void EngineCore::AddOp(const PreparedOp& prepared, py::object open_image) {
  CheckAlive();
  AddNative(ValueOrRaise(engine_->AddOp(std::make_unique<SharedOp>(prepared.op))),
            std::move(open_image));
}

py::list EngineCore::OpNames() const {
  py::list names;
  for (const Op* op : by_id_) names.append(op->name);
  return names;
}

const EngineCore::Op& EngineCore::Find(const std::string& name) const {
  const auto at = by_name_.find(name);
  if (at == by_name_.end()) {
    std::string known;
    for (const Op* op : by_id_) known += (known.empty() ? "" : ", ") + op->name;
    Raise(Status::NotFound("there is no Op named '" + name + "'; registered are: " + known));
  }
  return at->second;
}

void EngineCore::Redirect(const std::string& op, py::object image_type, const std::string& to) {
  CheckAlive();
  const Op& target = Find(to);
  if (PyType_Check(image_type.ptr()) == 0) {
    Raise(Status::InvalidArgument(
        "image_type is no type: " + py::repr(image_type).cast<std::string>() +
        "; pass the class of images that '" + to + "' takes"));
  }
  if (const auto& already = Find(op).elsewhere) {
    Raise(Status::InvalidArgument("calls of '" + op + "' with another kind of image go to '" +
                                  already->to->name + "' already; call '" + to +
                                  "' by its own name, or use another Engine"));
  }
  by_name_.at(op).elsewhere = {std::move(image_type), &target};
}

const EngineCore::Op& EngineCore::Op::ThatRuns(const py::dict& arguments) const {
  if (!elsewhere) return *this;
  PyObject* const image = PyDict_GetItemString(arguments.ptr(), "image");
  const bool lies_there = image != nullptr && py::isinstance(image, elsewhere->image_type);
  return lies_there ? *elsewhere->to : *this;
}

py::dict EngineCore::WithOpenImage(const Op& op, const py::dict& arguments) const {
  PyObject* const image = PyDict_GetItemString(arguments.ptr(), "image");
  const py::object& open_image = op.open_image ? op.open_image : open_image_;
  if (image == nullptr || image == Py_None || py::isinstance<Object>(image) || !open_image) {
    return arguments;
  }
  const auto opened = py::reinterpret_steal<py::dict>(PyDict_Copy(arguments.ptr()));
  if (!opened) throw py::error_already_set();
  opened["image"] = open_image(py::handle(image));
  return opened;
}

Status EngineCore::FillNative(const Op& op, const py::dict& arguments, sched::Call* call) const {
  Result<Value> value = Status();
  try {
    value = ToValue(WithOpenImage(op, arguments));
  } catch (const py::error_already_set& error) {
    return FromException(op.name, error.value());
  }
  if (!value.ok()) return value.status();
  Result<sched::CallTraits> traits = op.native->Inspect(value.value());
  if (!traits.ok()) return traits.status();
  call->traits = std::move(traits).value();
  call->arguments = std::move(value).value();
  for (const auto& [name, argument] : *call->arguments.get_if<Value::Dict>()) {
    if (const auto* object = argument.get_if<ObjectRef>()) call->objects.push_back(*object);
  }
  if (!op.cacheable) return {};
  std::string key = op.identity_prefix;
  if (Status status = AppendCanonical(call->arguments, &key); !status.ok()) return status;
  call->identity = sched::Identity(std::move(key));
  return {};
}

Status EngineCore::FillForeign(const Op& op, const py::dict& arguments, sched::Call* call) const {
  try {
    if (!op.key.is_none())
      call->traits.compatibility = py::str(op.key(arguments)).cast<std::string>();
    if (!op.size.is_none()) call->traits.size = py::float_(op.size(arguments));
  } catch (const py::error_already_set& error) {
    return FromException(op.name, error.value());
  }
  if (!std::isfinite(call->traits.size) || call->traits.size < 0) {
    return Status::InvalidArgument(op.name + ": size(arguments) returned " +
                                   std::to_string(call->traits.size) +
                                   "; return a finite number that is not negative");
  }
  if (op.cacheable) {
    std::string key = op.identity_prefix;
    const Status status = AppendIdentity(arguments, &key);
    if (status.code() == StatusCode::kInvalidArgument) return status;
    if (status.ok()) call->identity = sched::Identity(std::move(key));
  }
  const std::size_t bytes = ArgumentBytes(arguments, &call->objects);
  call->arguments =
      Value{ObjectRef(std::make_shared<Foreign>(arguments.inc_ref().ptr(), bytes, false, false))};
  return {};
}

Result<sched::Call> EngineCore::MakeCall(const Op& named, const py::dict& arguments,
                                         const CallOptions& options, TimePoint now) {
  const Op& op = named.ThatRuns(arguments);
  sched::Call call;
  call.op = op.id;
  call.flow = options.flow;
  call.priority = options.priority;
  call.soft_deadline = Deadline("soft_deadline", options.soft_deadline, now);
  call.hard_deadline = Deadline("deadline", options.deadline, now);
  call.room_deadline = Deadline("room_timeout", options.room_timeout, now);
  call.nested = options.nested;
  const Status status =
      op.native != nullptr ? FillNative(op, arguments, &call) : FillForeign(op, arguments, &call);
  if (!status.ok()) return status;
  return call;
}

TimePoint EngineCore::TimeOf(const CallOptions& options) const {
  const bool counts = options.soft_deadline || options.deadline || options.room_timeout;
  return counts ? engine_->clock().Now() : TimePoint();
}

sched::RequestId EngineCore::Submit(const Op& op, py::dict arguments, const CallOptions& options,
                                    const std::shared_ptr<CompletionQueue>& queue,
                                    py::object future, bool wait_for_room) {
  CheckAlive();
  ReleaseNow();
  Result<sched::Call> call = MakeCall(op, arguments, options, TimeOf(options));
  if (!call.ok()) {
    CheckOpen();  // of a closed engine nothing comes back
    sched::Completion refused{Token(std::move(future)), call.status(), nullptr,
                              sched::Outcome::kRun};
    queue->Deliver({&refused, 1});
    return 0;
  }
  call.value().token = Token(future);
  sched::RequestId id = 0;
  const Status accepted = engine_->scheduler().Submit({&call.value(), 1}, queue, {&id, 1});
  if (!accepted.ok()) {
    py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(call.value().token));
    Raise(accepted);
  }
  if (wait_for_room && id != 0 && !engine_->scheduler().LobbyIsEmpty()) AwaitAdmission(id);
  return id;
}

std::unique_ptr<Many> EngineCore::SubmitMany(const std::string& name, py::list arguments,
                                             const CallOptions& options) {
  CheckAlive();
  ReleaseNow();
  const Op& op = Find(name);
  const TimePoint now = TimeOf(options);
  auto many = std::make_unique<Many>();
  many->completions = std::make_shared<ManyCompletions>(arguments.size());
  std::vector<sched::Call> calls;
  std::vector<sched::Completion> refused;
  calls.reserve(arguments.size());
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    Result<sched::Call> call = Status();
    if (PyDict_Check(arguments[i].ptr())) {
      call = MakeCall(op, arguments[i], options, now);
    } else if (py::hasattr(arguments[i], "keys")) {
      call = MakeCall(op, py::dict(arguments[i]), options, now);
    } else {
      call = Status::InvalidArgument(
          "item " + std::to_string(i) + " of submit_many is " +
          py::type::handle_of(arguments[i]).attr("__name__").cast<std::string>() +
          "; it must be a dict of arguments");
    }
    if (call.ok()) {
      call.value().token = i;
      calls.push_back(std::move(call).value());
    } else {
      refused.push_back({i, call.status(), nullptr, sched::Outcome::kRun});
    }
  }
  many->requests.resize(calls.size());
  Status accepted;
  {
    const GilReleased no_gil;
    accepted = engine_->scheduler().Submit(calls, many->completions, many->requests);
  }
  if (!accepted.ok()) Raise(accepted);
  if (!refused.empty()) many->completions->Deliver(refused);
  return many;
}

py::object EngineCore::CallAndWait(const std::string& name, py::dict arguments,
                                   const CallOptions& options) {
  CheckAlive();
  ReleaseNow();
  sched::Call call = ValueOrRaise(MakeCall(Find(name), arguments, options, TimeOf(options)));
  const auto slot = std::make_shared<BlockingSlot>();
  sched::RequestId id = 0;
  std::optional<sched::Batch> here;
  // A deadline is kept by whoever waits, so its call runs elsewhere.
  const bool in_place = by_id_[call.op]->native != nullptr && call.hard_deadline == kNever;
  Status accepted;
  bool is_there = false;
  {
    // Given up before the call is out, so that the puller which wakes for it finds the GIL free.
    const GilReleased no_gil;
    accepted = in_place ? engine_->scheduler().SubmitInPlace(&call, slot, &id, &here)
                        : engine_->scheduler().Submit({&call, 1}, slot, {&id, 1});
    if (here) engine_->Run(*here);
    is_there = accepted.ok() && (slot->Spin() || slot->WaitFor(kSignalInterval));
  }
  if (!accepted.ok()) Raise(accepted);
  try {
    if (!is_there) BlockUntil([&](Duration slice) { return slot->WaitFor(slice); });
  } catch (...) {
    engine_->scheduler().Cancel(id);
    throw;
  }
  if (!slot->completion().status.ok()) Raise(slot->completion().status);
  return FromValue(*slot->completion().result);
}

bool EngineCore::Cancel(sched::RequestId request) {
  if (CarriedAcrossFork()) return false;
  return engine_->scheduler().Cancel(request);
}

void EngineCore::AwaitAdmission(sched::RequestId request) {
  try {
    BlockUntil([&](Duration slice) { return engine_->scheduler().AwaitAdmission(request, slice); });
  } catch (...) {
    engine_->scheduler().Cancel(request);
    throw;
  }
}

sched::ExpectationId EngineCore::Expect(const std::string& op, sched::Flow flow) {
  CheckAlive();
  return engine_->scheduler().Expect(Find(op).id, flow);
}

void EngineCore::Release(sched::ExpectationId expectation) {
  if (!CarriedAcrossFork()) engine_->scheduler().Release(expectation);
}

void EngineCore::Close(double timeout) {
  if (CarriedAcrossFork()) return;
  sched::Scheduler& scheduler = engine_->scheduler();
  scheduler.BeginClose();
  const TimePoint until = After(engine_->clock().Now(), Seconds(std::max(timeout, 0.0)));
  BlockUntil([&](Duration slice) {
    return scheduler.AwaitIdle(slice) || engine_->clock().Now() >= until;
  });
  {
    const GilReleased no_gil;
    engine_->Close(Duration(0));
  }
  ReleaseNow();
}

}  // namespace vista::python
