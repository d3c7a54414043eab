// Calls of an asyncio loop: one crossing to submit one, one to settle all that came back. A
// rollout makes them by the thousand on one thread, so both go without Python frames.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>

#include "completions.h"
#include "engine_core.h"

namespace vista::python {

// What gives Engine its method acall. `queues` has the method of(loop) -> CompletionQueue.
class LoopCaller {
 public:
  LoopCaller(std::shared_ptr<EngineCore> engine_core, pybind11::object queues);
  ~LoopCaller();
  LoopCaller(const LoopCaller&) = delete;
  LoopCaller& operator=(const LoopCaller&) = delete;

  const std::shared_ptr<EngineCore> core;
  const pybind11::object core_object;

  const EngineCore::Op& Find(pybind11::handle name);
  pybind11::object RunningLoop();
  const std::shared_ptr<CompletionQueue>& QueueOf(const pybind11::object& loop);

 private:
  const pybind11::object queues_;
  pybind11::object latest_name_;  // the object, which the calls of one place in a program share
  const EngineCore::Op* latest_op_ = nullptr;
  // A program makes nearly all calls on one loop.
  pybind11::object latest_loop_;   // a weak reference
  pybind11::object running_loop_;  // another, that goes with the holder
  pybind11::object loop_holder_;
  std::shared_ptr<CompletionQueue> latest_queue_;
};

// Gives what waits in a loop's queue to its futures, on that loop's thread.
void SettleOnLoop(CompletionQueue& queue);

void BindLoopCaller(pybind11::module_& m);

}  // namespace vista::python
