#include "nn/team.h"

#include <sys/types.h>
#include <unistd.h>

#include <map>
#include <utility>

#include "base/spin.h"

namespace vista::nn {
Team& Team::Shared(int members) {
  static std::mutex mutex;
  // A forked process has none of its parent's threads.
  static auto* const teams = new std::map<std::pair<pid_t, int>, std::unique_ptr<Team>>();
  const std::lock_guard lock(mutex);
  std::unique_ptr<Team>& team = (*teams)[{getpid(), members}];
  if (team == nullptr) team = std::make_unique<Team>(members);
  return *team;
}

Team::Team(int members) {
  for (int member = 1; member < members; ++member)
    threads_.emplace_back([this, member] { Serve(member); });
}

Team::~Team() {
  stop_ = true;
  round_.fetch_add(1);
  round_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Team::ForEach(int tasks, const Work& work) {
  work_ = &work;
  tasks_ = tasks;
  next_.store(0, std::memory_order_relaxed);
  busy_.store(static_cast<int>(threads_.size()), std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  DoTasks(0);
  const auto done = [this] { return busy_.load(std::memory_order_acquire) == 0; };
  while (!SpinUntil(done)) {
    const int busy = busy_.load(std::memory_order_acquire);
    if (busy != 0) busy_.wait(busy, std::memory_order_acquire);
  }
}

void Team::DoTasks(int member) {
  while (true) {
    const int task = next_.fetch_add(1, std::memory_order_relaxed);
    if (task >= tasks_) return;
    (*work_)(task, member);
  }
}

void Team::Serve(int member) {
  unsigned seen = 0;
  while (true) {
    const auto asked = [&] { return round_.load(std::memory_order_acquire) != seen; };
    while (!SpinUntil(asked)) round_.wait(seen, std::memory_order_acquire);
    seen = round_.load(std::memory_order_acquire);
    if (stop_) return;
    DoTasks(member);
    busy_.fetch_sub(1, std::memory_order_release);
    busy_.notify_one();
  }
}

}  // namespace vista::nn
