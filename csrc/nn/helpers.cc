#include "nn/helpers.h"

#include <pthread.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <system_error>
#include <utility>

#include "base/spin.h"
#include "nn/team.h"

namespace vista::nn {
namespace {

// Never freed: threads may run when the process ends. A forked process has none of its parent's
// threads, and the lock may have been held by one of them: it begins anew.
Helpers* of_process = nullptr;

constexpr double kWeightOfLatest = 1.0 / 8;

}  // namespace

Helper::Helper() : thread_([this] { Serve(); }) {}

Helper::~Helper() {
  stop_ = true;
  asked_.fetch_add(1, std::memory_order_release);
  asked_.notify_one();
  thread_.join();
}

void Helper::Join(Team& team, int member) {
  team_ = &team;
  member_ = member;
  serving_.store(true, std::memory_order_relaxed);
  asked_.fetch_add(1, std::memory_order_release);
  asked_.notify_one();
}

void Helper::AwaitLeave() {
  const auto left = [this] { return !serving_.load(std::memory_order_acquire); };
  while (!SpinUntil(left)) serving_.wait(true, std::memory_order_acquire);
}

void Helper::Serve() {
  unsigned seen = 0;
  while (true) {
    const auto asked = [&] { return asked_.load(std::memory_order_acquire) != seen; };
    while (!SpinUntil(asked)) asked_.wait(seen, std::memory_order_acquire);
    seen = asked_.load(std::memory_order_acquire);
    if (stop_) return;
    team_->Serve(member_);
    serving_.store(false, std::memory_order_release);
    serving_.notify_one();
  }
}

Helpers::Loan::Loan(Loan&& other) noexcept
    : from_(std::exchange(other.from_, nullptr)), helpers_(std::move(other.helpers_)) {}

Helpers::Loan::~Loan() {
  if (from_ != nullptr) from_->TakeBack(helpers_);
}

Helpers& Helpers::OfProcess() {
  static const bool made = [] {
    of_process = new Helpers;
    pthread_atfork(nullptr, nullptr, [] { of_process = new Helpers; });
    return true;
  }();
  static_cast<void>(made);
  return *of_process;
}

Result<Helpers::Loan> Helpers::Lend(int threads) {
  const std::lock_guard lock(mutex_);
  if (Status status = StartUpTo(threads - 1); !status.ok()) return status;
  const int calls = calls_ + 1;
  calls_lately_ += (calls - calls_lately_) * kWeightOfLatest;
  const double others = std::max(calls_lately_, static_cast<double>(calls));
  const int share = static_cast<int>(std::ceil(threads / others));
  const int lent = static_cast<int>(all_.size() - free_.size());
  const int count = std::clamp(threads - calls - lent, 0, share - 1);
  std::vector<Helper*> helpers(free_.end() - count, free_.end());
  free_.resize(free_.size() - count);
  calls_ = calls;
  return Loan(*this, std::move(helpers));
}

Status Helpers::StartUpTo(int helpers) {
  const std::size_t before = all_.size();
  const std::size_t free_before = free_.size();
  try {
    // Also for those that come back later.
    all_.reserve(std::max<std::size_t>(helpers, before));
    free_.reserve(all_.capacity());
    while (static_cast<int>(all_.size()) < helpers) {
      all_.push_back(std::make_unique<Helper>());
      free_.push_back(all_.back().get());
    }
  } catch (const std::system_error& error) {
    free_.resize(free_before);
    all_.resize(before);
    return {StatusCode::kResourceExhausted, std::to_string(helpers + 1) +
                                                " threads can't be started (" + error.what() +
                                                "); ask for fewer, or raise the limits of this "
                                                "process"};
  }
  return {};
}

void Helpers::TakeBack(const std::vector<Helper*>& helpers) {
  const std::lock_guard lock(mutex_);
  --calls_;
  free_.insert(free_.end(), helpers.begin(), helpers.end());
}

}  // namespace vista::nn
