"""Puller threads: they hold the Leases of Ops whose batch function is in Python."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from vista_fast._core import HeldBatch, mark_engine_thread
from vista_fast.errors import ResourceExhaustedError

if TYPE_CHECKING:
    from vista_fast._core import EngineCore
    from vista_fast.engine.op import BatchFunction, Op


class Pullers:
    """The puller threads of one engine."""

    def __init__(self, core: EngineCore) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._ops: dict[int, Op] = {}
        self._threads: set[threading.Thread] = set()
        self._missing: list[int] = []

    def serve(self, op_id: int, op: Op) -> None:
        """Starts the pullers of an Op. Raises ResourceExhaustedError when the system has no more threads."""
        self._ops[op_id] = op
        try:
            for _ in range(op.concurrency):
                self._start(op_id)
        except RuntimeError as error:
            raise ResourceExhaustedError(
                f"the {op.concurrency} threads of Op '{op.name}' could not be started ({error}); ask for fewer "
                "(concurrency), or raise the limits of this process"
            ) from error

    def replace_lost(self) -> None:
        """Starts a puller for each one that was lost: one that never returned, or not in time. Should it come back, it
        finds its Lease void and ends. Where the system has no thread left, it is ``missing`` until the next call."""
        missing, self._missing = [*self._missing, *self._core.take_lost_pullers()], []
        for op_id in missing:
            try:
                self._start(op_id)
            except RuntimeError:
                self._missing.append(op_id)

    @property
    def missing(self) -> bool:
        """Whether a lost puller is still to be replaced."""
        return bool(self._missing)

    def join(self, timeout: float) -> None:
        """Waits for the pullers of a closed engine; one that has not ended after ``timeout`` seconds is abandoned."""
        until = time.monotonic() + timeout
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(0.0, until - time.monotonic()))

    def _start(self, op_id: int) -> None:
        op = self._ops[op_id]
        thread = threading.Thread(target=self._pull, args=(op_id, op.run), name=f"vista-{op.name}", daemon=True)
        with self._lock:
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                self._threads.discard(thread)
            raise

    def _pull(self, op_id: int, run: BatchFunction) -> None:
        mark_engine_thread()
        held = HeldBatch()
        wanted = True
        try:
            while wanted:
                wanted = self._run_lease(op_id, run, held)
        finally:
            # Whatever ended it, such as an exception that another thread sent: its calls must not wait for ever.
            if wanted:
                self._core.lose(op_id, held)
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _run_lease(self, op_id: int, run: BatchFunction, held: HeldBatch) -> bool:
        """Ends the Batch in hand and runs the next; false when this puller is no longer wanted. What a Batch was made
        of and came to is let go of on return, before this thread blocks for another."""
        calls = self._core.lease(op_id, held)
        if calls is None:
            return False
        try:
            results = run(calls)
        except BaseException as error:
            # SystemExit and KeyboardInterrupt too: whatever it raises, its calls must not be left without an answer.
            self._core.fail(op_id, held, error)
        else:
            self._core.complete(op_id, held, results)
        return True
