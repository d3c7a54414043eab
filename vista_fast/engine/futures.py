"""Futures of calls: plain ones, settled by the engine's drain thread, and ones of an asyncio loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from vista_fast._core import adopt_loop_future

if TYPE_CHECKING:
    from vista_fast._core import CompletionQueue, EngineCore

Outcome: TypeAlias = Literal["run", "joined", "cached"]
"""How a call came to its result: its own Flight ran, it joined a running one, or the result was in the cache."""


class CallFuture(concurrent.futures.Future[Any]):
    """What ``Engine.submit`` gives. ``outcome`` is set once it is done."""

    outcome: Outcome | None = None
    _core: EngineCore | None = None
    _request = 0

    def cancel(self) -> bool:
        """Withdraws the call; other waiters of an equal call are not touched. False when it is done already."""
        cancelled = super().cancel()
        if cancelled and self._core is not None:
            self._core.cancel(self._request)
        return cancelled


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


def settle_calls(queue: CompletionQueue) -> None:
    """Gives the completions in a drain thread's queue to their futures."""
    for future, value, error, outcome in queue.drain():
        future.outcome = outcome
        # A user who settles a future himself must not stop the settling of the others.
        with contextlib.suppress(concurrent.futures.InvalidStateError):
            if not future.set_running_or_notify_cancel():
                continue
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)
