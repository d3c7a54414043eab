// Threads that share the steps of a network.
#pragma once

#include <atomic>
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

  // Does all tasks below `tasks`, in any order, and returns when they are done.
  void ForEach(int tasks, const Work& work);

 private:
  void Serve(int member);
  void DoTasks(int member);
  void Stop();

  std::mutex in_use_;
  std::vector<std::thread> threads_;
  const Work* work_ = nullptr;
  int tasks_ = 0;
  std::atomic<int> next_{0};
  std::atomic<int> busy_{0};
  std::atomic<unsigned> round_{0};
  std::atomic<bool> stop_{false};
};

}  // namespace vista::nn
