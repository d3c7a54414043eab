"""Ray as a peer of the engine: calls of an actor, and requests to Ray Serve that @serve.batch gathers.

Its driver has a process of its own, so that what its modules and threads cost is not counted as ours. All of Ray's
processes share the cores with ours while the figures are taken.
"""

from __future__ import annotations

import asyncio
import importlib.util
import multiprocessing
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

SETTLES_WITHIN = 0.5
"""Seconds for which Ray goes on clearing away what a run has left."""


class RayPeers:
    """Runs Ray on this machine while its ``with`` block lasts; has no works where Ray is not installed."""

    def __init__(self, *, quick: bool) -> None:
        self._quick = quick
        self._driver: Any = None

    def __enter__(self) -> RayPeers:
        if self._quick:
            return self
        if importlib.util.find_spec("ray") is None:
            print("Ray: left out, it is not installed (pip install 'ray[serve]')")
            return self
        spawning = multiprocessing.get_context("spawn")
        self._ours, theirs = spawning.Pipe()
        self._driver = spawning.Process(target=drive, args=(theirs,))
        self._driver.start()
        theirs.close()
        self._ours.recv()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._driver is not None:
            self._ours.close()
            self._driver.join()

    def works(self, count: int) -> dict[str, tuple[int, Callable[[], Any]]]:
        """By peer how many calls one run makes, and the run. Fewer than ``count``: these take their time."""
        if self._driver is None:
            return {}
        sizes = {"Ray actor": count // 5, "Ray Serve, @serve.batch": count // 20}
        return {name: (size, partial(self._run, name, size)) for name, size in sizes.items()}

    def _run(self, name: str, size: int) -> None:
        self._ours.send((name, size))
        self._ours.recv()


def drive(asked: Connection) -> None:
    """The driver's process: does what it is asked for until the other end closes."""
    import ray
    from ray import serve

    ray.init(num_cpus=2, object_store_memory=200 << 20, include_dashboard=False, log_to_driver=False)
    runs = started(ray, serve)
    asked.send(None)
    try:
        while True:
            name, size = asked.recv()
            runs[name](size)
            asked.send(None)
    except EOFError:
        serve.shutdown()
        ray.shutdown()


def started(ray: Any, serve: Any) -> dict[str, Callable[[int], Any]]:
    """By peer what makes so many calls."""

    @ray.remote
    class Actor:
        def nothing(self, x: int) -> None:
            return None

    @serve.deployment(max_ongoing_requests=1000)  # type: ignore[untyped-decorator]
    class Batched:
        @serve.batch(max_batch_size=100, batch_wait_timeout_s=0.001)  # type: ignore[untyped-decorator]
        async def nothing(self, x: list[int]) -> list[None]:
            return [None] * len(x)

        async def __call__(self, x: int) -> None:
            return await self.nothing(x)  # type: ignore[no-any-return]

    actor: Any = Actor
    deployment: Any = Batched
    nothing = actor.remote().nothing
    ray.get(nothing.remote(0))
    handle = serve.run(deployment.bind())

    async def gathered(count: int) -> None:
        await asyncio.gather(*(handle.remote(x) for x in range(count)))

    return {
        "Ray actor": lambda count: ray.get([nothing.remote(x) for x in range(count)]),
        "Ray Serve, @serve.batch": lambda count: asyncio.run(gathered(count)),
    }
