#include "sched/adaptive_policy.h"

#include <algorithm>
#include <cmath>

#include "sched/arrival_gaps.h"
#include "sched/service_times.h"

namespace vista::sched {
namespace {

constexpr double kLargestFixedShare = 0.05;
// Bounds the size where calls cost next to nothing; max_batch bounds it further.
constexpr double kLargestBatch = 1e6;

double Nanoseconds(Duration duration) { return static_cast<double>(duration.count()); }

}  // namespace

std::size_t BestSize(const QueueView& view) {
  const double fixed = Nanoseconds(view.service_times->Fixed());
  const double per_call = std::max(Nanoseconds(view.service_times->PerCall()), 1.0);
  const double pays = std::min(std::round(fixed / (kLargestFixedShare * per_call)), kLargestBatch);
  const std::size_t pullers = std::max<std::size_t>(view.free_pullers, 1);
  const std::size_t fair_part = (view.waiting + pullers - 1) / pullers;
  const std::size_t most = std::max<std::size_t>(static_cast<std::size_t>(pays), 1);
  return view.waiting > most ? std::min(most, fair_part) : most;
}

TimePoint PaysUntil(const QueueView& view, TimePoint now) {
  const ArrivalGaps& gaps = *view.arrival_gaps;
  if (gaps.empty()) return now;
  const ServiceTimes& times = *view.service_times;
  const double n = static_cast<double>(view.waiting);
  const double fixed = Nanoseconds(times.Fixed());
  const double per_call = Nanoseconds(times.PerCall());
  const double rest = view.free_pullers > 1 ? 0 : fixed + per_call * n;
  const double longer_batch = per_call * n;  // T(n + 1) - T(1)
  const double passed = Nanoseconds(std::max(now - view.latest_arrival, Duration(0)));

  double came = 0;       // weight of the gaps that end by the bin at hand
  double gained = 0;     // what they are worth
  double remaining = 0;  // weight of all gaps that can still end
  std::size_t first = 0;
  while (first < ArrivalGaps::kBins && Nanoseconds(ArrivalGaps::End(first)) <= passed) ++first;
  for (std::size_t bin = first; bin < ArrivalGaps::kBins; ++bin) remaining += gaps.weight(bin);

  double best_value = 0;
  TimePoint best = now;
  double from = passed;
  for (std::size_t bin = first; bin < ArrivalGaps::kBins; ++bin) {
    const double end = Nanoseconds(ArrivalGaps::End(bin));
    if (gaps.weight(bin) > 0) {
      const double x = 0.5 * (from + end) - passed;
      const double weight = gaps.weight(bin) * gaps.fitting();
      came += weight;
      gained += weight * (std::max(rest - x, 0.0) - longer_batch - n * (x + per_call));
      const double value = gained - (remaining - came) * n * (end - passed);
      if (value > best_value) {
        best_value = value;
        best = After(view.latest_arrival, ArrivalGaps::End(bin));
      }
    }
    from = end;
  }
  return best;
}

}  // namespace vista::sched
