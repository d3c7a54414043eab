"""The drain thread of an engine: it settles plain futures, many per wake-up, and replaces lost pullers."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from vista_fast._core import CompletionQueue, EngineCore, mark_engine_thread
from vista_fast.errors import ResourceExhaustedError

if TYPE_CHECKING:
    from vista_fast.engine.futures import CallFuture
    from vista_fast.engine.pullers import Pullers

_TRY_AGAIN = 1.0
"""Seconds until a lost puller for which there was no thread is tried again."""

_LOOK_AGAIN = 0.05
"""Seconds after which a callback that waits for a future looks at it, though nothing has arrived here."""

_log = logging.getLogger("vista_fast.engine")


class Drain:
    """The thread, and the queue that it drains. It ends when ``queue`` is closed and empty.

    Raises ResourceExhaustedError when the system has no thread for it.
    """

    def __init__(self, core: EngineCore, pullers: Pullers) -> None:
        self.queue = CompletionQueue()
        self._pullers = pullers
        # Shared by a round and those within it: a callback may wait for a call that came back in the same round.
        self._taken: deque[tuple[CallFuture, Any, BaseException | None, Any]] = deque()
        core.watch_lost_pullers(self.queue)
        self._thread = threading.Thread(target=self._run, name="vista-drain", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:
            raise ResourceExhaustedError(
                f"the thread that settles futures could not be started ({error}); pass fewer threads, or raise the "
                "limits of this process"
            ) from error

    def is_here(self) -> bool:
        """Whether the caller runs on this thread: within the callback of a future, that is."""
        return threading.get_ident() == self._thread.ident

    def settle_until(self, future: CallFuture, until: float) -> None:
        """For a callback that waits for another future, which nobody else would settle: goes on with the thread's work
        until that future is done, or until ``until`` by time.monotonic."""
        while not future.done() and (left := until - time.monotonic()) > 0:
            # Another thread that waits for it may take it.
            if not self._round(min(left, _LOOK_AGAIN), future):
                return

    def close(self, timeout: float) -> None:
        """Settles what has arrived and ends; waits ``timeout`` seconds for that, unless the caller is this thread."""
        self.queue.close()
        if not self.is_here():
            self._thread.join(timeout)

    def _run(self) -> None:
        mark_engine_thread()
        while self._round(_TRY_AGAIN if self._pullers.missing else math.inf):
            pass

    def _round(self, timeout: float, wanted: CallFuture | None = None) -> bool:
        """Settles what has arrived, at most until ``wanted`` is; false when nothing will arrive any more."""
        if not self._taken:
            if not self.queue.wait(None if timeout == math.inf else timeout):
                return False
            self._taken.extend(self.queue.drain())
        while self._taken and (wanted is None or not wanted.done()):
            future, *completion = self._taken.popleft()
            try:
                future.settle(*completion)
            except BaseException:
                # What concurrent.futures does not report itself, such as SystemExit. The other futures are waited for.
                _log.exception("a callback of %r raised; the engine goes on", future)
        self.queue.end_round()
        self._pullers.replace_lost()
        return True
