#include "nn/team.h"

#include "base/spin.h"

namespace vista::nn {
namespace {

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
  const Result<Helpers::Loan> loan = Helpers::OfProcess().Lend(members);
  if (!loan.ok()) return loan.status();
  Team team(loan.value().helpers());
  return work(team);
}

// What a task is of goes with it: who takes one of the share sees the work that was set before.
void Team::Share::Set(int begin, int end) {
  begin_and_end_.store(Packed(begin, end), std::memory_order_release);
}

int Team::Share::Take(bool first) {
  std::uint64_t left = begin_and_end_.load(std::memory_order_relaxed);
  while (true) {
    const int begin = BeginOf(left);
    const int end = EndOf(left);
    if (begin >= end) return -1;
    const std::uint64_t rest = first ? Packed(begin + 1, end) : Packed(begin, end - 1);
    if (begin_and_end_.compare_exchange_weak(left, rest, std::memory_order_acquire,
                                             std::memory_order_relaxed))
      return first ? begin : end - 1;
  }
}

Team::Team(const std::vector<Helper*>& helpers) : helpers_(helpers), shares_(helpers.size() + 1) {
  int member = 0;
  for (Helper* helper : helpers_) helper->Join(*this, ++member);
}

Team::~Team() {
  ended_.store(true, std::memory_order_relaxed);
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (Helper* helper : helpers_) helper->AwaitLeave();
}

void Team::ForEach(int tasks, const Work& work) {
  work_ = &work;
  undone_.store(tasks, std::memory_order_relaxed);
  for (int member = 0; member < members(); ++member)
    shares_[member].Set(ShareBegin(tasks, member, members()),
                        ShareBegin(tasks, member + 1, members()));
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  DoTasks(0);
  const auto done = [this] { return undone_.load(std::memory_order_acquire) == 0; };
  while (!SpinUntil(done)) {
    const int undone = undone_.load(std::memory_order_acquire);
    if (undone != 0) undone_.wait(undone, std::memory_order_acquire);
  }
}

void Team::Serve(int member) {
  unsigned seen = 0;
  while (true) {
    const auto asked = [&] { return round_.load(std::memory_order_acquire) != seen; };
    while (!SpinUntil(asked)) round_.wait(seen, std::memory_order_acquire);
    seen = round_.load(std::memory_order_acquire);
    if (ended_.load(std::memory_order_relaxed)) return;
    DoTasks(member);
  }
}

void Team::DoTasks(int member) {
  for (int task = shares_[member].TakeFirst(); task >= 0; task = shares_[member].TakeFirst())
    Do(task, member);
  for (int next = 1; next < members(); ++next) {
    Share& other = shares_[(member + next) % members()];
    for (int task = other.TakeLast(); task >= 0; task = other.TakeLast()) Do(task, member);
  }
}

void Team::Do(int task, int member) {
  (*work_)(task, member);
  undone_.fetch_sub(1, std::memory_order_release);
  undone_.notify_one();
}

}  // namespace vista::nn
