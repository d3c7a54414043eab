// The two questions of an adaptive batch policy, answered from measured service times and arrivals:
// how many calls a Batch should take, and until when it pays to wait for one more.
#pragma once

#include <cstddef>

#include "base/clock.h"
#include "sched/batch_policy.h"

namespace vista::sched {

// The size beyond which a Batch gains nothing: there its fixed time is a twentieth of the rest; and
// no more than leaves an equal part of what waits for every free puller.
std::size_t BestSize(const QueueView& view);

// Until when the calls that wait should go on waiting; `now` or earlier when they should go.
//
// One step ahead, it weighs the sum of all latencies, with n calls waiting and a Batch of n taking
// T(n). Should the next call come x from now, then waiting for it costs each of the n calls
// x + T(n + 1) - T(n), and saves that call the rest of their Batch and a Batch of its own:
// T(n) - x + T(1) - T(n + 1), or T(1) - T(n + 1) where another puller is free. Should it not come
// in time, all have waited for nothing. The probabilities of x are those of the measured gaps
// between arrivals, given the time that has passed since the latest.
TimePoint PaysUntil(const QueueView& view, TimePoint now);

}  // namespace vista::sched
