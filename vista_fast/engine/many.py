"""The handle of submit_many."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from vista_fast.engine.futures import LoopFuture, Outcome
from vista_fast.errors import DeadlineExceededError

if TYPE_CHECKING:
    from vista_fast._core import EngineCore, Many
    from vista_fast.engine.loops import LoopQueues


class Done(NamedTuple):
    """One finished call of a ManyCalls: its place in the list, its value or else its error, its outcome."""

    place: int
    value: Any
    error: BaseException | None
    outcome: Outcome


class ManyCalls:
    """Calls that were submitted together.

    ``result()`` blocks for all results in their order, ``await`` does the same on a loop, and iterating (plainly or
    with ``async for``) gives each ``Done`` as it comes. A cancel or timeout of an ``await`` withdraws the calls that
    are not done, for whoever else waits for this handle too; that of an ``async for`` leaves them as they are.
    """

    def __init__(self, core: EngineCore, many: Many, loops: LoopQueues) -> None:
        self._core = core
        self._many = many
        self._loops = loops
        self._lock = threading.Lock()
        self._done: list[tuple[int, Any, BaseException | None, Outcome]] = []  # as Done, in order of arrival

    def __len__(self) -> int:
        return len(self._many)

    def result(self, timeout: float | None = None, *, return_exceptions: bool = False) -> list[Any]:
        """All results, in the order of the calls.

        The first failed call's error is raised, unless ``return_exceptions`` puts the errors among the results.
        DeadlineExceededError after ``timeout`` seconds; the calls go on.
        """
        if not self._wait(len(self), timeout):
            raise DeadlineExceededError(
                f"{len(self) - self._many.arrived} of {len(self)} calls are not done after {timeout} s; "
                "ask again, or cancel() them"
            )
        return self._ordered(return_exceptions)

    def outcomes(self) -> list[Outcome | None]:
        """The outcome of every call, in their order; None for one that is not done."""
        outcomes: list[Outcome | None] = [None] * len(self)
        for place, _, _, outcome in self._arrived():
            outcomes[place] = outcome
        return outcomes

    def cancel(self) -> None:
        """Withdraws every call that is not done; it completes with AbortedError."""
        for request in self._many.requests:
            if request:
                self._core.cancel(request)

    def __await__(self) -> Generator[Any, None, list[Any]]:
        try:
            yield from self._until(len(self)).__await__()
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self._ordered(return_exceptions=False)

    def __iter__(self) -> Iterator[Done]:
        for seen in range(len(self)):
            self._wait(seen + 1, None)
            yield Done._make(self._arrived()[seen])

    async def __aiter__(self) -> AsyncIterator[Done]:
        for seen in range(len(self)):
            await self._until(seen + 1)
            yield Done._make(self._arrived()[seen])

    def _wait(self, enough: int, timeout: float | None) -> bool:
        self._core.check_alive()
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = 3600.0 if until is None else max(0.0, until - time.monotonic())
            # The core comes back now and then so that signals are seen.
            if self._many.wait(enough, left):
                return True
            if until is not None and time.monotonic() >= until:
                return False

    async def _until(self, enough: int) -> None:
        if self._many.arrived >= enough:
            return
        arrival = self._arrival(enough)
        # Asked again, because an engine that has closed meanwhile has completed all calls, but tells loops no more.
        if self._many.arrived < enough:
            await arrival

    def _arrival(self, enough: int) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        future = LoopFuture(loop=loop)
        future._core, future._request = self._core, 0  # no call of its own to withdraw
        self._many.notify(enough, self._loops.of(loop), future)
        return future

    def _arrived(self) -> list[tuple[int, Any, BaseException | None, Outcome]]:
        with self._lock:
            self._many.take(self._done)
            return self._done

    def _ordered(self, return_exceptions: bool) -> list[Any]:
        results: list[Any] = [None] * len(self)
        first_failed = len(self)
        for place, value, error, _ in self._arrived():
            results[place] = value if error is None else error
            if error is not None and place < first_failed:
                first_failed = place
        if first_failed < len(self) and not return_exceptions:
            raise results[first_failed]
        return results
