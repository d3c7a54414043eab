"""Ray as a peer of the engine: calls of an actor, and requests to Ray Serve that @serve.batch gathers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any


class RayPeers:
    """Runs Ray on this machine while its ``with`` block lasts; has no works where Ray is not installed."""

    def __init__(self, *, quick: bool) -> None:
        self._quick = quick
        self._ray: Any = None
        self._serve: Any = None

    def __enter__(self) -> RayPeers:
        if self._quick:
            return self
        try:
            import ray
            from ray import serve
        except ImportError:
            print("Ray: left out, it is not installed (pip install 'ray[serve]')")
            return self
        ray.init(num_cpus=2, object_store_memory=200 << 20, include_dashboard=False, log_to_driver=False)
        self._ray, self._serve = ray, serve

        @ray.remote
        class Actor:
            def nothing(self, x: int) -> None:
                return None

        @serve.deployment(max_ongoing_requests=1000)
        class Batched:
            @serve.batch(max_batch_size=100, batch_wait_timeout_s=0.001)
            async def nothing(self, x: list[int]) -> list[None]:
                return [None] * len(x)

            async def __call__(self, x: int) -> None:
                return await self.nothing(x)

        self._actor = Actor.remote()
        ray.get(self._actor.nothing.remote(0))
        self._handle = serve.run(Batched.bind())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ray is not None:
            self._serve.shutdown()
            self._ray.shutdown()

    def works(self, count: int) -> dict[str, tuple[int, Callable[[], Any]]]:
        """By peer how many calls one run makes, and the run. Fewer than ``count``: these take their time."""
        if self._ray is None:
            return {}
        actor_calls, requests = count // 5, count // 20

        def actor() -> None:
            self._ray.get([self._actor.nothing.remote(x) for x in range(actor_calls)])

        async def gathered() -> None:
            await asyncio.gather(*(self._handle.remote(x) for x in range(requests)))

        return {
            "Ray actor": (actor_calls, actor),
            "Ray Serve, @serve.batch": (requests, lambda: asyncio.run(gathered())),
        }
