// Threads that share the steps of a network.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/status.h"
#include "nn/helpers.h"

namespace vista::nn {

// A caller and its helpers. A step is some 0.1 to 3 ms, and the next follows at once: threads wait
// for it by looking, for some 50 us, before they sleep.
class Team {
 public:
  // (task, member): members are numbered from 0, the caller.
  using Work = std::function<void(int, int)>;

  // Does `work` with a team of at most so many members, fewer when other calls run.
  // ResourceExhausted where threads can't be started; else what `work` returns.
  static Status With(int members, const std::function<Status(Team&)>& work);

  // The helpers serve until the team ends.
  explicit Team(const std::vector<Helper*>& helpers = {});
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;
  ~Team();

  [[nodiscard]] int members() const { return static_cast<int>(shares_.size()); }

  // Does all tasks below `tasks`, in any order, and returns when they are done. Each member begins
  // with a share of neighbours, the same of the same number of tasks: what it made of an image's
  // upper half, it goes on with, and finds in its core's cache. Who has done its own helps others;
  // tasks wait for no member that has not come yet.
  void ForEach(int tasks, const Work& work);

  // A helper's part, until the team ends.
  void Serve(int member);

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

  void DoTasks(int member);
  void Do(int task, int member);

  const std::vector<Helper*> helpers_;
  std::vector<Share> shares_;  // of each member
  const Work* work_ = nullptr;
  std::atomic<int> undone_{0};
  std::atomic<unsigned> round_{0};
  std::atomic<bool> ended_{false};
};

}  // namespace vista::nn
