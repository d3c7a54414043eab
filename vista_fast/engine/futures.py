"""Futures of calls: plain ones, settled by the engine's drain thread, and ones of an asyncio loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

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
    """What ``Engine.acall`` gives: a future of the running loop. ``outcome`` is set once it is done."""

    __slots__ = ("_core", "_request", "outcome")
    outcome: Outcome | None
    _core: EngineCore
    _request: int

    def cancel(self, msg: Any | None = None) -> bool:
        """Withdraws the call; other waiters of an equal call are not touched. False when it is done already."""
        cancelled = super().cancel(msg)
        if cancelled:
            self._core.cancel(self._request)
        return cancelled


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
