"""What the engine itself costs: calls that do nothing, many at once, from an event loop, and alone.

No call can be joined or cached. Peers: concurrent.futures' ThreadPoolExecutor with one worker, which suits it best here
because nothing is computed; asyncio's run_in_executor; bare futures of a loop that one callback resolves, which is the
loop's own limit; and, where Ray is installed, a Ray actor and Ray Serve's @serve.batch.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from _limits import hand_over
from _measuring import Options, Peer, Row, in_turns, options, seconds
from _profile import profiled
from _ray_peers import SETTLES_WITHIN, RayPeers
from _table import finish

import vista_fast as vf

OBJECTS = "making and releasing Python objects under the GIL: each call's arguments, result and Done"
HAND_OVER = "handing the call and the GIL to the puller's thread and back; either waits spinning before it sleeps"
LOOP = "the wake-up of the loop's thread, which sleeps in its selector, and the hand-over of the GIL"
ROUND = "two C threads that hand over to each other, spinning"
NATIVE = "call of a native Op"
INLINE = "reading the arguments and keeping the engine's account of the call; the caller's thread runs it"
AMONG_MANY = "the same call among thousands in one submit_many, of as many pixels, divided among them"
WANTED = {"ThreadPoolExecutor": 6.0, "Ray actor": 200.0, "Ray Serve, @serve.batch": 500.0}


def nothing(**arguments: Any) -> None:
    """The peers' call."""


def per_second(count: int, work: Callable[[], Any]) -> Callable[[], float]:
    return lambda: count / seconds(work)


def many_at_once(
    engine: vf.Engine, name: str, given: Options, works: Mapping[str, tuple[int, Callable[[], Any]]], rest: float = 0.0
) -> Row:
    """Beside peers, of which each says how many calls a run makes; ``rest``: seconds before ours after one of them."""
    calls = numbered(given)

    def ours() -> float:
        time.sleep(rest)
        return len(calls) / seconds(lambda: engine.submit_many("nothing", calls).result())

    figures = in_turns(
        {
            "ours": ours,
            "copies": per_second(len(calls), lambda: [dict(call) for call in calls]),
            **{name: per_second(size, work) for name, (size, work) in works.items()},
        },
        given.repeats,
    )
    return Row(
        name.format(f"{len(calls):,}"),
        "calls/s",
        "higher",
        figures.pop("ours"),
        [Peer(name, figures[name], WANTED[name]) for name in works],
        bound_by=OBJECTS,
        physical=statistics.median(figures["copies"]),
        physical_is="copying the dicts of arguments in a list, because each call's goes to the batch function as one",
    )


def count_of(given: Options) -> int:
    return 200 if given.quick else 10_000


def numbered(given: Options) -> list[dict[str, int]]:
    return [{"x": x} for x in range(count_of(given))]


def in_executor(pool: ThreadPoolExecutor, calls: list[dict[str, int]]) -> None:
    for future in [pool.submit(nothing, **each) for each in calls]:
        future.result()


async def acalls(engine: vf.Engine, count: int) -> None:
    await asyncio.gather(*(engine.acall("nothing", x=x) for x in range(count)))


def gathered(engine: vf.Engine, pool: ThreadPoolExecutor, given: Options) -> Row:
    count = count_of(given)

    async def executor() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(pool, nothing) for _ in range(count)))

    async def bare() -> None:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(count)]

        def resolve() -> None:
            for future in futures:
                future.set_result(None)

        loop.call_soon(resolve)
        await asyncio.gather(*futures)

    works = {
        name: per_second(count, lambda work=work: asyncio.run(work()))  # type: ignore[misc]
        for name, work in {
            "ours": lambda: acalls(engine, count),
            "run_in_executor": executor,
            "bare futures": bare,
        }.items()
    }
    figures = in_turns(works, given.repeats)
    return Row(
        f"gather of {count:,} acalls",
        "calls/s",
        "higher",
        figures["ours"],
        [Peer("run_in_executor", figures["run_in_executor"], 4.0), Peer("bare futures", figures["bare futures"], 0.7)],
        bound_by="the interpreter and the event loop: a future, its keywords and its callback for each call",
        physical=statistics.median(figures["bare futures"]),
        physical_is="the loop's own: as many bare futures that one callback resolves",
    )


async def awaited(call: Callable[[], Awaitable[Any]], count: int) -> list[float]:
    taken = []
    loop = asyncio.get_running_loop()
    for _ in range(count):
        started = loop.time()
        await call()
        taken.append(loop.time() - started)
    return taken


def quantile(times: list[float], share: float) -> float:
    return 1e6 * sorted(times)[int(share * (len(times) - 1))]


def among_many(count: int) -> float:
    """Microseconds of one of the small native calls of a submit_many."""
    pixels = [vf.Image.from_array(np.array([[[x >> 8, x & 255, 0]]], np.uint8)) for x in range(count)]
    calls = [{"image": pixel, "size": (2, 2)} for pixel in pixels]
    with vf.Engine(threads=1, cache_bytes=0) as engine:
        return 1e6 * min(seconds(lambda: engine.submit_many("image.resize", calls).result()) for _ in range(5)) / count


def alone(engine: vf.Engine, pool: ThreadPoolExecutor, given: Options) -> list[Row]:
    count = 50 if given.quick else 2_000
    pixel = vf.Image.from_array(np.zeros((1, 1, 3), np.uint8))

    def one_by_one(work: Callable[[], Any]) -> list[float]:
        return [seconds(work) for _ in range(count)]

    def executor() -> list[float]:
        return one_by_one(lambda: pool.submit(nothing).result())

    async def executor_awaited() -> list[float]:
        loop = asyncio.get_running_loop()
        return await awaited(lambda: loop.run_in_executor(pool, nothing), count)

    works: dict[str, tuple[Callable[[], list[float]], Callable[[], list[float]]]] = {
        NATIVE: (lambda: one_by_one(lambda: engine.call("image.resize", pixel, size=(2, 2))), executor),
        "call": (lambda: one_by_one(lambda: engine.call("nothing")), executor),
        "submit, result": (lambda: one_by_one(lambda: engine.submit("nothing").result()), executor),
        "await acall": (
            lambda: asyncio.run(awaited(lambda: engine.acall("nothing"), count)),
            lambda: asyncio.run(executor_awaited()),
        ),
    }
    rounds = hand_over() or (None, None)
    together = among_many(count)
    rows = []
    bounds = {NATIVE: INLINE, "await acall": LOOP}
    for name, (ours, theirs) in works.items():
        times = [(ours(), theirs()) for _ in range(given.repeats)]
        limits = (together, together) if name == NATIVE else rounds
        for share, limit, physical in ((0.5, 30.0, limits[0]), (0.99, 200.0, limits[1])):
            rows.append(
                Row(
                    f"a lone {name}, p{100 * share:.0f}",
                    "µs",
                    "lower",
                    [quantile(mine, share) for mine, _ in times],
                    [Peer("executor", [quantile(other, share) for _, other in times])],
                    limit=limit,
                    bound_by=bounds.get(name, HAND_OVER),
                    physical=physical,
                    physical_is=AMONG_MANY if name == NATIVE else ROUND,
                )
            )
    return rows


def main() -> None:
    given = options(__doc__)
    op = vf.Op(
        "nothing",
        "1",
        policy=vf.BatchPolicy(max_batch=1024),
        run=lambda calls: [None] * len(calls),
        cacheable=False,
    )
    profiles = []
    calls = numbered(given)
    with vf.Engine() as engine, ThreadPoolExecutor(1) as pool:
        engine.register(op)
        executor = {"ThreadPoolExecutor": (len(calls), lambda: in_executor(pool, calls))}
        rows = [many_at_once(engine, "submit_many of {}", given, executor), gathered(engine, pool, given)]
        profiles += profiled(given, "submit_many", lambda: engine.submit_many("nothing", calls).result())
        profiles += profiled(given, "gathered acalls", lambda: asyncio.run(acalls(engine, len(calls))))
    with vf.Engine(cache_bytes=0) as engine, ThreadPoolExecutor(1) as pool:
        engine.register(op)
        rows += alone(engine, pool, given)
        profiles += profiled(given, "lone calls", lambda: engine.call("nothing"))
    with vf.Engine() as engine, RayPeers(quick=given.quick) as ray:
        engine.register(op)
        if works := ray.works(len(calls)):
            rows.append(many_at_once(engine, "submit_many of {}, while Ray runs", given, works, SETTLES_WITHIN))
    finish(rows, given, __file__, profiles)


if __name__ == "__main__":
    main()
