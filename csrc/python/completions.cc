#include "completions.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <exception>
#include <iterator>
#include <memory>
#include <string>
#include <system_error>
#include <utility>

#include "base/spin.h"
#include "convert.h"
#include "errors.h"
#include "foreign.h"
#include "gil.h"

namespace py = pybind11;

namespace vista::python {

namespace {

py::handle OutcomeText(sched::Outcome outcome) {
  static PyObject* const run = PyUnicode_InternFromString(OutcomeName(sched::Outcome::kRun));
  static PyObject* const joined = PyUnicode_InternFromString(OutcomeName(sched::Outcome::kJoined));
  static PyObject* const cached = PyUnicode_InternFromString(OutcomeName(sched::Outcome::kCached));
  return outcome == sched::Outcome::kRun      ? run
         : outcome == sched::Outcome::kJoined ? joined
                                              : cached;
}

}  // namespace

Seen See(const sched::Completion& completion) {
  const py::handle outcome = OutcomeText(completion.outcome);
  if (!completion.status.ok()) return {py::none(), ToException(completion.status), outcome};
  try {
    return {completion.result ? FromValue(*completion.result) : py::none(), py::none(), outcome};
  } catch (const py::error_already_set& error) {
    return {py::none(), error.value(), outcome};
  } catch (const std::exception& error) {
    const std::string what = std::string("a result can't be given to Python: ") + error.what();
    return {py::none(), ToException(Status::Internal(what)), outcome};
  }
}

std::shared_ptr<CompletionQueue> CompletionQueue::Make() {
  const int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event < 0) {
    Raise(Status::ResourceExhausted("no event descriptor could be made (" +
                                    std::generic_category().message(errno) +
                                    "); close files, or allow more open descriptors: ulimit -n"));
  }
  return std::make_shared<CompletionQueue>(event);
}

CompletionQueue::~CompletionQueue() {
  for (const sched::Completion& completion : waiting_)
    ReleaseLater(reinterpret_cast<PyObject*>(completion.token));
  close(event_);
}

void CompletionQueue::Signal() {
  signalled_.notify_all();
  const std::uint64_t one = 1;
  // Fails only when the counter is at its maximum, and then the descriptor is readable as it should
  // be.
  [[maybe_unused]] const ssize_t written = write(event_, &one, sizeof one);
}

void CompletionQueue::Deliver(std::span<sched::Completion> completions) {
  const std::lock_guard lock(mutex_);
  if (closed_) {
    for (const sched::Completion& completion : completions) {
      ReleaseLater(reinterpret_cast<PyObject*>(completion.token));
    }
    return;
  }
  if (!takers_.empty()) completions = completions.first(ServeTakers(completions));
  if (completions.empty()) return;
  const bool was_empty = waiting_.empty();
  waiting_.insert(waiting_.end(), std::make_move_iterator(completions.begin()),
                  std::make_move_iterator(completions.end()));
  if (was_empty) Signal();
}

std::size_t CompletionQueue::ServeTakers(std::span<sched::Completion> completions) {
  const auto is_taken = [this](sched::Completion& completion) {
    const auto taker = std::find_if(takers_.begin(), takers_.end(), [&](const Taker* each) {
      return each->token == completion.token && !each->completion;
    });
    if (taker == takers_.end()) return false;
    (*taker)->completion = std::move(completion);
    (*taker)->has_completion.store(true, std::memory_order_relaxed);
    (*taker)->changed.notify_one();
    return true;
  };
  const auto left = std::remove_if(completions.begin(), completions.end(), is_taken);
  return static_cast<std::size_t>(left - completions.begin());
}

std::optional<sched::Completion> CompletionQueue::TakeOne(std::uint64_t token, std::uint64_t rounds,
                                                          Duration timeout, bool spins) {
  // Further in, the thread that drains is on its way.
  constexpr std::size_t kLookedAt = 16;
  std::unique_lock lock(mutex_);
  const auto end =
      waiting_.begin() + static_cast<std::ptrdiff_t>(std::min(waiting_.size(), kLookedAt));
  const auto at = std::find_if(waiting_.begin(), end, [token](const sched::Completion& each) {
    return each.token == token;
  });
  if (at != end) {
    std::optional<sched::Completion> found = std::move(*at);
    waiting_.erase(at);
    return found;
  }
  Taker taker(token);
  takers_.push_back(&taker);
  if (spins && timeout > kLongestSpin) {
    lock.unlock();
    SpinUntil([&] { return taker.has_completion.load(std::memory_order_relaxed); });
    lock.lock();
  }
  taker.changed.wait_for(lock, timeout,
                         [&] { return taker.completion || rounds_ != rounds || closed_; });
  std::erase(takers_, &taker);
  return std::move(taker.completion);
}

std::uint64_t CompletionQueue::rounds() {
  const std::lock_guard lock(mutex_);
  return rounds_;
}

void CompletionQueue::EndRound() {
  const std::lock_guard lock(mutex_);
  ++rounds_;
  for (Taker* taker : takers_) taker->changed.notify_one();
}

std::vector<sched::Completion> CompletionQueue::Take() {
  std::vector<sched::Completion> taken;
  const std::lock_guard lock(mutex_);
  taken.swap(waiting_);
  poked_ = false;
  std::uint64_t signals = 0;
  [[maybe_unused]] const ssize_t got = read(event_, &signals, sizeof signals);
  return taken;
}

void CompletionQueue::PutBack(std::span<sched::Completion> completions) {
  if (completions.empty()) return;
  const std::lock_guard lock(mutex_);
  waiting_.insert(waiting_.begin(), std::make_move_iterator(completions.begin()),
                  std::make_move_iterator(completions.end()));
  Signal();
}

py::list CompletionQueue::Drain() {
  const std::vector<sched::Completion> taken = Take();
  py::list out(taken.size());
  for (std::size_t i = 0; i < taken.size(); ++i) {
    auto future = py::reinterpret_steal<py::object>(reinterpret_cast<PyObject*>(taken[i].token));
    Seen seen = See(taken[i]);
    out[i] = py::make_tuple(std::move(future), std::move(seen.value), std::move(seen.error),
                            seen.outcome);
  }
  ReleaseNow();
  return out;
}

bool CompletionQueue::Wait(std::optional<double> timeout) {
  const GilReleased no_gil;
  std::unique_lock lock(mutex_);
  // Not on the descriptor: others may close it, and its counter may be at its maximum.
  const auto is_over = [this] { return !waiting_.empty() || poked_ || closed_; };
  if (timeout) {
    signalled_.wait_for(lock, std::chrono::duration<double>(*timeout), is_over);
  } else {
    signalled_.wait(lock, is_over);
  }
  return !closed_ || !waiting_.empty() || poked_;
}

void CompletionQueue::Poke() {
  const std::lock_guard lock(mutex_);
  poked_ = true;
  Signal();
}

void CompletionQueue::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (Taker* taker : takers_) taker->changed.notify_one();
  Signal();
}

bool CompletionQueue::closed() {
  const std::lock_guard lock(mutex_);
  return closed_;
}

void BlockingSlot::Deliver(std::span<sched::Completion> completions) {
  {
    const std::lock_guard lock(mutex_);
    completion_ = std::move(completions.front());
    there_.store(true, std::memory_order_release);
  }
  arrived_.notify_one();
}

bool BlockingSlot::Spin() const {
  return SpinUntil([this] { return there_.load(std::memory_order_acquire); });
}

bool BlockingSlot::WaitFor(Duration timeout) {
  std::unique_lock lock(mutex_);
  return arrived_.wait_for(lock, timeout, [this] { return there_.load(); });
}

void ManyCompletions::Deliver(std::span<sched::Completion> completions) {
  std::vector<Watcher> ready;
  bool someone_blocked = false;
  {
    const std::lock_guard lock(mutex_);
    waiting_.insert(waiting_.end(), std::make_move_iterator(completions.begin()),
                    std::make_move_iterator(completions.end()));
    arrived_ += completions.size();
    someone_blocked = blocked_ > 0;
    const auto due =
        std::partition(watchers_.begin(), watchers_.end(),
                       [this](const Watcher& watcher) { return watcher.enough > arrived_; });
    std::move(due, watchers_.end(), std::back_inserter(ready));
    watchers_.erase(due, watchers_.end());
  }
  if (someone_blocked) changed_.notify_all();
  for (const Watcher& watcher : ready) {
    sched::Completion notice{watcher.token, {}, nullptr, sched::Outcome::kRun};
    watcher.sink->Deliver({&notice, 1});
  }
}

std::size_t ManyCompletions::arrived() {
  const std::lock_guard lock(mutex_);
  return arrived_;
}

bool ManyCompletions::WaitFor(std::size_t enough, Duration timeout) {
  std::unique_lock lock(mutex_);
  ++blocked_;
  const bool there = changed_.wait_for(lock, timeout, [&] { return arrived_ >= enough; });
  --blocked_;
  return there;
}

std::vector<sched::Completion> ManyCompletions::Take() {
  std::vector<sched::Completion> taken;
  const std::lock_guard lock(mutex_);
  taken.swap(waiting_);
  return taken;
}

void ManyCompletions::NotifyAt(std::size_t enough, sched::SinkRef sink, std::uint64_t token) {
  {
    const std::lock_guard lock(mutex_);
    if (arrived_ < enough) {
      watchers_.push_back({enough, std::move(sink), token});
      return;
    }
  }
  sched::Completion notice{token, {}, nullptr, sched::Outcome::kRun};
  sink->Deliver({&notice, 1});
}

}  // namespace vista::python
