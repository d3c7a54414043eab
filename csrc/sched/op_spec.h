// OpSpec: what the scheduler knows of an Op. It never sees what the Op computes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "sched/batch_policy.h"

namespace vista::sched {

struct OpSpec {
  std::string name;     // "image.zoom"
  std::string version;  // part of a call's identity: change it when the Op's output changes
  BatchPolicy policy;
  bool cacheable =
      true;             // equal calls are one call: joined while it runs, and its success is cached
  int concurrency = 1;  // Batches that may run at once; 0 means as many as there are pullers
  std::size_t max_in_flight = 0;  // calls in running Batches at once; 0 means no limit
  std::size_t max_queue = 0;  // calls that wait for a Batch; more wait in the lobby. 0: no limit
  // A Lease that takes longer is lost, and its calls are aborted; 0 means no limit. Native Ops have
  // none.
  Duration timeout{0};
};

// What a call says of itself for batching.
struct CallTraits {
  std::string compatibility;  // only calls with equal keys share a Batch
  double size = 1;            // in the Op's own unit of work; estimated service time grows with it
};

}  // namespace vista::sched
