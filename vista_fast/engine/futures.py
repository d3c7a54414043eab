"""Futures of calls: plain ones, settled by the engine's drain thread, and ones of an asyncio loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import time
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from vista_fast._core import adopt_loop_future

if TYPE_CHECKING:
    from vista_fast._core import CompletionQueue, EngineCore
    from vista_fast.engine.drain import Drain

Outcome: TypeAlias = Literal["run", "joined", "cached"]
"""How a call came to its result: its own Flight ran, it joined a running one, or the result was in the cache."""


class CallFuture(concurrent.futures.Future[Any]):
    """What ``Engine.submit`` gives. ``outcome`` is set once it is done.

    A thread that blocks on it takes the completion itself; else the engine's drain thread settles it.
    """

    outcome: Outcome | None = None
    # What came back, set by the core for a thread that blocks: a signal handler may raise before it is settled.
    _taken: tuple[Any, BaseException | None, Outcome] | None = None
    _core: EngineCore | None = None
    _drain: Drain | None = None
    _request = 0
    # One thread takes the completion past the drain thread; others that wait are told when it is settled.
    _has_taker = False
    _told_of_cancel = False

    def cancel(self) -> bool:
        """Withdraws the call; other waiters of an equal call are not touched. False when it is done already."""
        cancelled = super().cancel()
        if cancelled and self._core is not None:
            self._core.cancel(self._request)
        return cancelled

    def result(self, timeout: float | None = None) -> Any:
        """As concurrent.futures' own."""
        return super().result(self._settled_within(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """As concurrent.futures' own."""
        return super().exception(self._settled_within(timeout))

    def settle(self, value: Any, error: BaseException | None, outcome: Outcome) -> None:
        """What came back of the call; nothing happens when it was cancelled, or settled by its user, or here before."""
        self.outcome = outcome
        try:
            if error is None:
                self.set_result(value)
            else:
                self.set_exception(error)
        except concurrent.futures.InvalidStateError:
            if self.cancelled() and not self._told_of_cancel:
                self._told_of_cancel = True
                self.set_running_or_notify_cancel()

    def _settled_within(self, timeout: float | None) -> float | None:
        """Waits for the completion and settles; gives what is left of the timeout."""
        drain, core = self._drain, self._core
        if drain is None or core is None or self.done():
            return timeout
        core.check_alive()
        until = math.inf if timeout is None else time.monotonic() + timeout
        if drain.is_here():
            drain.settle_until(self, until)
            return None if timeout is None else max(0.0, until - time.monotonic())
        if self._has_taker:
            return timeout
        self._has_taker = True
        try:
            return self._take(drain.queue, until, timeout)
        except BaseException:
            # A signal handler raised: what is taken already has to reach those who wait for it.
            self._settle_taken()
            raise
        finally:
            self._has_taker = False

    def _take(self, queue: CompletionQueue, until: float, timeout: float | None) -> float | None:
        spins = True
        while True:
            rounds, left = queue.rounds(), max(0.0, until - time.monotonic())
            if self.done() or self._settle_taken():
                return timeout
            queue.take_one(self, rounds, left, spins)
            spins = False
            if self._settle_taken():
                return timeout
            if left == 0 or queue.closed:
                return None if timeout is None else left

    def _settle_taken(self) -> bool:
        if self._taken is None:
            return False
        self.settle(*self._taken)
        return True


class LoopFuture(asyncio.Future[Any]):
    """What ``Engine.acall`` gives: a future of the running loop. ``outcome`` is set once it is done.

    Its first callback (a task that awaits it, a gather) is run as soon as the call comes back, within the loop's
    reader; asyncio would put it into the loop's queue once more.
    """

    __slots__ = ("_callback", "_context", "_core", "_request", "outcome")
    outcome: Outcome | None
    _callback: Callable[[LoopFuture], object] | None
    _context: Context
    _core: EngineCore
    _request: int

    def cancel(self, msg: Any | None = None) -> bool:
        """Withdraws the call; other waiters of an equal call are not touched. False when it is done already."""
        self._keep_callbacks_as_usual()
        cancelled = super().cancel(msg)
        if cancelled:
            self._core.cancel(self._request)
        return cancelled

    def set_result(self, result: Any, /) -> None:
        """As asyncio's, for a user who settles it himself."""
        self._keep_callbacks_as_usual()
        super().set_result(result)

    def set_exception(self, exception: type | BaseException, /) -> None:
        """As asyncio's, for a user who settles it himself."""
        self._keep_callbacks_as_usual()
        super().set_exception(exception)

    def remove_done_callback(self, fn: Callable[[Any], object], /) -> int:
        """As asyncio's."""
        self._keep_callbacks_as_usual()
        return super().remove_done_callback(fn)

    def _keep_callbacks_as_usual(self) -> None:
        """Gives the first callback to asyncio's own class, in front of the others."""
        first = getattr(self, "_callback", None)
        self._callback = None
        if first is None:
            return
        later: list[tuple[Any, Context]] = self._callbacks or []
        for callback, _ in later:
            super().remove_done_callback(callback)
        for callback, context in [(first, self._context), *later]:
            super().add_done_callback(callback, context=context)


adopt_loop_future(LoopFuture)
