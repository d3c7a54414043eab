#include "nn/team.h"

#include <pthread.h>

#include <map>
#include <memory>
#include <string>
#include <system_error>

#include "base/spin.h"

namespace vista::nn {
namespace {

struct Teams {
  std::mutex mutex;
  std::map<int, std::unique_ptr<Team>> by_members;
};

// Never freed: threads may run when the process ends. A forked process has none of its parent's
// threads, and the lock may have been held by one of them: it begins anew.
Teams* all_teams = nullptr;

Teams& AllTeams() {
  static const bool made = [] {
    all_teams = new Teams;
    pthread_atfork(nullptr, nullptr, [] { all_teams = new Teams; });
    return true;
  }();
  static_cast<void>(made);
  return *all_teams;
}

Team& TeamOf(int members) {
  Teams& teams = AllTeams();
  const std::lock_guard lock(teams.mutex);
  std::unique_ptr<Team>& team = teams.by_members[members];
  if (team == nullptr) team = std::make_unique<Team>(members);
  return *team;
}

// Ends of a share, in one number that changes at once.
std::uint64_t Packed(int begin, int end) {
  return static_cast<std::uint64_t>(begin) << 32U | static_cast<std::uint32_t>(end);
}
int BeginOf(std::uint64_t ends) { return static_cast<int>(ends >> 32U); }
int EndOf(std::uint64_t ends) { return static_cast<int>(ends & 0xffffffffU); }

// The first of `tasks` that is a member's.
int ShareBegin(int tasks, int member, int members) {
  return static_cast<int>(static_cast<std::int64_t>(tasks) * member / members);
}

}  // namespace

Status Team::With(int members, const std::function<Status(Team&)>& work) {
  if (members == 1) {
    Team alone(1);
    return work(alone);
  }
  Team* team = nullptr;
  try {
    team = &TeamOf(members);
  } catch (const std::system_error& error) {
    return {StatusCode::kResourceExhausted, std::to_string(members) +
                                                " threads can't be started (" + error.what() +
                                                "); ask for fewer, or raise the limits of this "
                                                "process"};
  }
  const auto taken = team->Take();
  return work(*team);
}

void Team::Share::Set(int begin, int end) {
  begin_and_end_.store(Packed(begin, end), std::memory_order_relaxed);
}

int Team::Share::Take(bool first) {
  std::uint64_t left = begin_and_end_.load(std::memory_order_relaxed);
  while (true) {
    const int begin = BeginOf(left);
    const int end = EndOf(left);
    if (begin >= end) return -1;
    const std::uint64_t rest = first ? Packed(begin + 1, end) : Packed(begin, end - 1);
    if (begin_and_end_.compare_exchange_weak(left, rest, std::memory_order_relaxed))
      return first ? begin : end - 1;
  }
}

Team::Team(int members) : shares_(members) {
  try {
    for (int member = 1; member < members; ++member)
      threads_.emplace_back([this, member] { Serve(member); });
  } catch (...) {
    Stop();
    throw;
  }
}

Team::~Team() { Stop(); }

void Team::Stop() {
  stop_ = true;
  round_.fetch_add(1);
  round_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Team::ForEach(int tasks, const Work& work) {
  work_ = &work;
  for (int member = 0; member < members(); ++member)
    shares_[member].Set(ShareBegin(tasks, member, members()),
                        ShareBegin(tasks, member + 1, members()));
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
  for (int task = shares_[member].TakeFirst(); task >= 0; task = shares_[member].TakeFirst())
    (*work_)(task, member);
  for (int next = 1; next < members(); ++next) {
    Share& other = shares_[(member + next) % members()];
    for (int task = other.TakeLast(); task >= 0; task = other.TakeLast()) (*work_)(task, member);
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
