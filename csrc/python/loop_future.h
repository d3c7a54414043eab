// The future of a call on an asyncio loop: asyncio's own class with slots that the core reaches by
// their place, and with a first callback that is run at once when the call comes back.
//
// asyncio would queue that callback in the loop once more, with a Handle of its own: two thirds of
// what an awaited call costs. A completion arrives in a reader's callback on the loop's thread,
// where what asyncio would run next can just as well be run now.
#pragma once

#include <pybind11/pybind11.h>

#include "completions.h"

namespace vista::python {

// Says which class LoopFuture is (vista_fast.engine.futures), once, and gives it its
// add_done_callback. The class has the slots named in the source file; a subclass of
// asyncio.Future.
void AdoptLoopFuture(const pybind11::object& type);

pybind11::object NewLoopFuture(const pybind11::object& loop);
// Which call it stands for, so that its cancel withdraws that.
void SetCall(const pybind11::object& future, const pybind11::object& core,
             const pybind11::object& request);

// Settles a LoopFuture and runs its callback; one that is done already, by a cancel, stays as it
// is. Throws only what must end the loop: SystemExit, KeyboardInterrupt.
void SettleLoopFuture(const pybind11::object& future, const Seen& seen);

}  // namespace vista::python
