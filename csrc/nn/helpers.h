// The process's threads that help calls which ask for several.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/status.h"

namespace vista::nn {

class Team;

// A thread that serves one team after the other.
class Helper {
 public:
  // Throws std::system_error where no thread can be started.
  Helper();
  Helper(const Helper&) = delete;
  Helper& operator=(const Helper&) = delete;
  ~Helper();

  // Has it serve a team, which ends before this does.
  void Join(Team& team, int member);
  // Waits until it has left a team that has ended.
  void AwaitLeave();

 private:
  void Serve();

  Team* team_ = nullptr;
  int member_ = 0;
  bool stop_ = false;
  std::atomic<unsigned> asked_{0};  // rises with each team, and at the end
  std::atomic<bool> serving_{false};
  std::thread thread_;
};

// What calls borrow helpers from: calls at the same time share the threads, and none waits for
// another. Threads are started when first asked for and live as long as this.
class Helpers {
 public:
  // A call's, given back with this.
  class Loan {
   public:
    Loan(Loan&& other) noexcept;
    Loan& operator=(Loan&&) = delete;
    ~Loan();

    [[nodiscard]] const std::vector<Helper*>& helpers() const { return helpers_; }

   private:
    friend class Helpers;
    Loan(Helpers& from, std::vector<Helper*> helpers)
        : from_(&from), helpers_(std::move(helpers)) {}

    Helpers* from_;
    std::vector<Helper*> helpers_;
  };

  // Those of the process.
  static Helpers& OfProcess();

  // For a call on at most so many threads, of which the caller's is one: as many of those that are
  // free as leave as much to each of the other calls of now, or of lately, when more: one that
  // comes a moment later finds its share then. ResourceExhausted where threads can't be started.
  Result<Loan> Lend(int threads);

 private:
  Status StartUpTo(int helpers);
  void TakeBack(const std::vector<Helper*>& helpers);

  std::mutex mutex_;
  std::vector<std::unique_ptr<Helper>> all_;
  std::vector<Helper*> free_;
  int calls_ = 0;
  double calls_lately_ = 1;  // at the same time, on average
};

}  // namespace vista::nn
