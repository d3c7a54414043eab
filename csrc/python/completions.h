// Where Completions wait for Python: a queue with an eventfd, the slot of one blocking call, the
// handle of submit_many. C++ threads only put Completions in; a Python thread takes them out and
// turns them into objects.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "base/clock.h"
#include "sched/completion.h"

namespace vista::python {

// A Completion as Python sees it: (value, error, outcome), where one of value and error is None.
struct Seen {
  pybind11::object value;
  pybind11::object error;
  pybind11::handle outcome;  // a str that lives as long as the process
};
Seen See(const sched::Completion& completion);

// Completions whose token is an owned reference to a Python future. Readable through its eventfd
// while it has any.
class CompletionQueue final : public sched::CompletionSink {
 public:
  // Raises where the system has no descriptor left.
  static std::shared_ptr<CompletionQueue> Make();
  // Owns the eventfd.
  explicit CompletionQueue(int event) : event_(event) {}
  ~CompletionQueue() override;

  void Deliver(std::span<sched::Completion> completions) override;

  [[nodiscard]] int fileno() const { return event_; }
  // All that waits. Their tokens are the taker's to release.
  std::vector<sched::Completion> Take();
  // Puts what was taken back in front.
  void PutBack(std::span<sched::Completion> completions);
  // What Take gives, as (future, value, error, outcome).
  pybind11::list Drain();
  // Blocks without the GIL until there is something to drain, a Poke, or `timeout` seconds are
  // over; false once it is closed and empty.
  bool Wait(std::optional<double> timeout);
  // For a thread that blocks on one future: hands it the Completion with that token, past the
  // thread that drains, which saves a wake-up. Needs no GIL. Nothing when the future is to be
  // looked at once more: `timeout` has passed, or a round of draining has ended since the caller
  // read rounds(), which it does before it looks. `spins`: it looks again and again for a moment
  // before it sleeps.
  std::optional<sched::Completion> TakeOne(std::uint64_t token, std::uint64_t rounds,
                                           Duration timeout, bool spins);
  // How often what was drained has been settled.
  [[nodiscard]] std::uint64_t rounds();
  void EndRound();
  // Wakes Wait, or the loop that watches the eventfd, to look at something else. Needs no GIL.
  void Poke();
  // What comes from now on is let go of, and Wait returns.
  void Close();
  [[nodiscard]] bool closed();

 private:
  // A thread in TakeOne.
  struct Taker {
    explicit Taker(std::uint64_t its_token) : token(its_token) {}

    const std::uint64_t token;
    std::condition_variable changed;
    std::optional<sched::Completion> completion;
    std::atomic<bool> has_completion{false};  // to be read without the lock
  };

  void Signal();
  // Moves what a thread waits for to it; what is left comes first then. Returns how many are left.
  std::size_t ServeTakers(std::span<sched::Completion> completions);

  const int event_;
  std::mutex mutex_;
  std::condition_variable signalled_;
  std::vector<sched::Completion> waiting_;
  std::vector<Taker*> takers_;
  std::uint64_t rounds_ = 0;
  bool poked_ = false;
  bool closed_ = false;
};

// The place of one call() that blocks on its result.
class BlockingSlot final : public sched::CompletionSink {
 public:
  void Deliver(std::span<sched::Completion> completions) override;
  // True when the Completion is there. Neither needs the GIL; the first doesn't sleep.
  [[nodiscard]] bool Spin() const;
  bool WaitFor(Duration timeout);
  [[nodiscard]] const sched::Completion& completion() const { return completion_; }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::atomic<bool> there_{false};
  sched::Completion completion_;
};

// The Completions of one submit_many, whose tokens are places in its list.
class ManyCompletions final : public sched::CompletionSink {
 public:
  explicit ManyCompletions(std::size_t count) : count_(count) {}

  void Deliver(std::span<sched::Completion> completions) override;

  [[nodiscard]] std::size_t count() const { return count_; }
  // How many have arrived so far, taken or not.
  [[nodiscard]] std::size_t arrived();
  // Blocks without the GIL until at least `enough` have arrived, or `timeout` has passed; true in
  // the first case.
  bool WaitFor(std::size_t enough, Duration timeout);
  // What has arrived since the last time.
  std::vector<sched::Completion> Take();
  // Sends a Completion with this token to the sink once at least `enough` have arrived.
  void NotifyAt(std::size_t enough, sched::SinkRef sink, std::uint64_t token);

 private:
  struct Watcher {
    std::size_t enough;
    sched::SinkRef sink;
    std::uint64_t token;
  };

  const std::size_t count_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t arrived_ = 0;
  std::size_t blocked_ = 0;  // threads in WaitFor
  std::vector<sched::Completion> waiting_;
  std::vector<Watcher> watchers_;
};

}  // namespace vista::python
