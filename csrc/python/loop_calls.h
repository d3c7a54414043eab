// Calls of an asyncio loop: one crossing to submit one, one to settle all that came back. A
// rollout makes them by the thousand on one thread, so both go without Python frames.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "completions.h"
#include "engine_core.h"

namespace vista::python {

// What gives Engine its method acall. `queues` has the method of(loop) -> CompletionQueue,
// `future_type` makes a LoopFuture from loop=.
struct LoopCaller {
  LoopCaller(std::shared_ptr<EngineCore> engine_core, pybind11::object loop_queues,
             pybind11::object loop_future);

  const std::shared_ptr<EngineCore> core;
  const pybind11::object core_object;
  const pybind11::object queues;
  const pybind11::object future_type;
};

// Gives what waits in a loop's queue to its futures, on that loop's thread. One that is done
// already, by a cancel, is left as it is.
void SettleOnLoop(CompletionQueue& queue);

void BindLoopCaller(pybind11::module_& m);

}  // namespace vista::python
