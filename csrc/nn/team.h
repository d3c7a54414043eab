// Threads that share the steps of a network.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/status.h"

namespace vista::nn {

// A step is some 0.1 to 3 ms, and the next follows at once: threads wait for it by looking, for
// some 50 us, before they sleep.
class Team {
 public:
  // (task, member): members are numbered from 0.
  using Work = std::function<void(int, int)>;

  // Does `work` with the process's team of so many members, of which the caller is one. Who wants
  // the same team waits; a caller alone needs nobody. ResourceExhausted where threads can't be
  // started; else what `work` returns. Threads live as long as the process.
  static Status With(int members, const std::function<Status(Team&)>& work);

  // Throws std::system_error where threads can't be started.
  explicit Team(int members);
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  ~Team();

  [[nodiscard]] int members() const { return static_cast<int>(threads_.size()) + 1; }

  // Held by who calls ForEach, from the first of its calls to the last.
  [[nodiscard]] std::unique_lock<std::mutex> Take() { return std::unique_lock(in_use_); }

  // Does all tasks below `tasks`, in any order, and returns when they are done. Each member begins
  // with a share of neighbours, the same of the same number of tasks: what it made of an image's
  // upper half, it goes on with, and finds in its core's cache. Who has done its own helps others.
  void ForEach(int tasks, const Work& work);

 private:
  // Tasks that are still to be done. Its member takes the first of them, others the last.
  class alignas(64) Share {
   public:
    void Set(int begin, int end);
    // -1 where there is none.
    int TakeFirst() { return Take(true); }
    int TakeLast() { return Take(false); }

   private:
    int Take(bool first);

    std::atomic<std::uint64_t> begin_and_end_{0};
  };

  void Serve(int member);
  void DoTasks(int member);
  void Stop();

  std::mutex in_use_;
  std::vector<std::thread> threads_;
  const Work* work_ = nullptr;
  std::vector<Share> shares_;  // of each member
  std::atomic<int> busy_{0};
  std::atomic<unsigned> round_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace vista::nn
