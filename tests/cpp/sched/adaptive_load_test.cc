// An adaptive policy beside every fixed one, on the same arrivals in virtual time.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "harness.h"

namespace vista::sched {
namespace {

using std::chrono::duration_cast;

struct Service {
  std::string name;
  double fixed_ms;
  double per_call_ms;
};

struct Load {
  std::string name;
  std::vector<double> arrivals_ms;
};

Duration Milliseconds(double ms) {
  return duration_cast<Duration>(std::chrono::duration<double, std::milli>(ms));
}

// Sums the latencies of the calls that it sees complete.
class LatencySink final : public CompletionSink {
 public:
  LatencySink(const Clock* clock, const Load* load) : clock_(clock), load_(load) {}
  void Deliver(std::span<Completion> completions) override {
    const double now =
        std::chrono::duration<double, std::milli>(clock_->Now().time_since_epoch()).count();
    for (const Completion& completion : completions) {
      sum_ms_ += now - load_->arrivals_ms[completion.token];
    }
  }
  [[nodiscard]] double mean_ms() const {
    return sum_ms_ / static_cast<double>(load_->arrivals_ms.size());
  }

 private:
  const Clock* clock_;
  const Load* load_;
  double sum_ms_ = 0;
};

// The mean latency, in ms, of all calls of a load on an Op with one puller.
double MeanLatency(const BatchPolicy& policy, const Service& service, const Load& load) {
  ManualClock clock;
  Scheduler scheduler({}, &clock, nullptr);
  OpSpec spec;
  spec.name = "op";
  spec.policy = policy;
  spec.cacheable = false;
  const auto [op, lane] = std::move(scheduler.AddOp(spec, /*leased=*/true)).value();
  const auto sink = std::make_shared<LatencySink>(&clock, &load);

  std::size_t next = 0;
  std::optional<Batch> running;
  TimePoint ends = kNever;
  TimePoint look_again = kNever;
  while (true) {
    const TimePoint arrives =
        next < load.arrivals_ms.size() ? TimePoint(Milliseconds(load.arrivals_ms[next])) : kNever;
    const TimePoint at = std::min({arrives, ends, running ? kNever : look_again});
    if (at == kNever) return sink->mean_ms();
    clock.Advance(std::max(at - clock.Now(), Duration(0)));
    if (at == arrives) {
      Call call;
      call.op = op;
      call.token = next++;
      RequestId id = 0;
      EXPECT_TRUE(scheduler.Submit({&call, 1}, sink, {&id, 1}).ok());
    } else if (at == ends) {
      std::vector<Result<Value>> results(running->calls->size(), Number(0));
      EXPECT_TRUE(scheduler.Complete(running->id, std::move(results)));
      running.reset();
      ends = kNever;
    }
    if (running) continue;
    running = scheduler.TryTake(lane, &look_again);
    if (running) {
      const auto calls = static_cast<double>(running->calls->size());
      ends = clock.Now() + Milliseconds(service.fixed_ms + service.per_call_ms * calls);
    }
  }
}

// Poisson arrivals.
Load Steady(const std::string& name, double per_ms, std::size_t calls) {
  std::mt19937 random(7);
  std::exponential_distribution<double> gap(per_ms);
  Load load{name, {}};
  double now = 0;
  for (std::size_t i = 0; i < calls; ++i) load.arrivals_ms.push_back(now += gap(random));
  return load;
}

Load Bursts(std::size_t bursts, int size, double gap_ms, double pause_ms) {
  std::mt19937 random(11);
  std::exponential_distribution<double> gap(1 / gap_ms);
  Load load{"bursts", {}};
  for (std::size_t burst = 0; burst < bursts; ++burst) {
    double now = pause_ms * static_cast<double>(burst);
    for (int i = 0; i < size; ++i) load.arrivals_ms.push_back(now += gap(random));
  }
  return load;
}

class AdaptiveLoad : public ::testing::TestWithParam<Service> {};

TEST_P(AdaptiveLoad, IsWithinTenPercentOfTheBestFixedPolicy) {
  const Service& service = GetParam();
  const double capacity = 64 / (service.fixed_ms + 64 * service.per_call_ms);  // calls per ms
  const double alone = service.fixed_ms + service.per_call_ms;
  const Load loads[] = {
      Steady("steady at half the capacity", 0.5 * capacity, 4000),
      Steady("steady near capacity", 0.8 * capacity, 8000),
      Bursts(200, 16, 0.02 * alone, 20 * alone),
      Steady("trickle", 0.05 / alone, 1000),
  };
  for (const Load& load : loads) {
    double best = 1e300;
    std::string best_name;
    for (const std::size_t max_batch : {1, 2, 4, 8, 16, 32, 64}) {
      for (const double delay : {0.0, 0.05, 0.2, 0.5, 1.0, 2.0}) {
        const BatchPolicy fixed = {max_batch, Milliseconds(delay * alone), true, false};
        const double mean = MeanLatency(fixed, service, load);
        if (mean < best) {
          best = mean;
          best_name =
              std::to_string(max_batch) + " calls, " + std::to_string(delay * alone) + " ms";
        }
      }
    }
    const BatchPolicy adaptive = {64, Milliseconds(2 * alone), false, true};
    const double ours = MeanLatency(adaptive, service, load);
    RecordProperty(load.name, std::to_string(ours / best));
    EXPECT_LE(ours, 1.1 * best) << load.name << ": " << ours << " ms, fixed at best " << best
                                << " ms with " << best_name;
  }
}

INSTANTIATE_TEST_SUITE_P(Services, AdaptiveLoad,
                         ::testing::Values(Service{"MostlyFixed", 20, 0.25}, Service{"Mixed", 5, 1},
                                           Service{"MostlyPerCall", 0.1, 1}),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace vista::sched
