"""What the engine itself costs: calls that do nothing, many at once, from an event loop, and alone.

No call can be joined or cached. Peers: concurrent.futures' ThreadPoolExecutor with one worker, which suits it best here
because nothing is computed; asyncio's run_in_executor; bare futures of a loop that one callback resolves, which is the
loop's own limit; and, where Ray is installed, a Ray actor and Ray Serve's @serve.batch.
"""

from __future__ import annotations

import asyncio
import statistics
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from _measuring import Options, Peer, Row, in_turns, options, seconds
from _ray_peers import RayPeers
from _table import finish

import vista_fast as vf

HAND_OVER = (
    "the wake-up of one sleeping thread by another, twice: pinned to one core the same call takes a seventh of it "
    "(`taskset -c 0`), and two C threads with semaphores need 20 microseconds for the round across cores"
)


def nothing(**arguments: Any) -> None:
    """The peers' call."""


def per_second(count: int, work: Callable[[], Any]) -> Callable[[], float]:
    return lambda: count / seconds(work)


def many_at_once(engine: vf.Engine, given: Options, works: Mapping[str, tuple[int, Callable[[], Any]]]) -> Row:
    """Beside peers, of which each says how many calls a run makes."""
    calls = numbered(given)
    figures = in_turns(
        {
            "ours": per_second(len(calls), lambda: engine.submit_many("nothing", calls).result()),
            **{name: per_second(size, work) for name, (size, work) in works.items()},
        },
        given.repeats,
    )
    wanted = {"ThreadPoolExecutor": 6.0, "Ray actor": 200.0, "Ray Serve, @serve.batch": 500.0}
    beside_ray = "ThreadPoolExecutor" not in works
    return Row(
        f"submit_many of {len(calls):,}{', while Ray runs' if beside_ray else ''}",
        "calls/s",
        "higher",
        figures.pop("ours"),
        [Peer(name, each, wanted[name]) for name, each in figures.items()],
        bound_by="Ray's own processes, which take turns with it on the cores"
        if beside_ray
        else "making and releasing Python objects under the GIL: each call's arguments, result and Done",
    )


def numbered(given: Options) -> list[dict[str, int]]:
    return [{"x": x} for x in range(200 if given.quick else 10_000)]


def in_executor(pool: ThreadPoolExecutor, calls: list[dict[str, int]]) -> None:
    for future in [pool.submit(nothing, **each) for each in calls]:
        future.result()


def gathered(engine: vf.Engine, pool: ThreadPoolExecutor, given: Options) -> Row:
    calls = numbered(given)

    async def ours() -> None:
        await asyncio.gather(*(engine.acall("nothing", **each) for each in calls))

    async def executor() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(pool, nothing) for _ in calls))

    async def bare() -> None:
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in calls]

        def resolve() -> None:
            for future in futures:
                future.set_result(None)

        loop.call_soon(resolve)
        await asyncio.gather(*futures)

    works = {
        name: per_second(len(calls), lambda work=work: asyncio.run(work()))  # type: ignore[misc]
        for name, work in {"ours": ours, "run_in_executor": executor, "bare futures": bare}.items()
    }
    figures = in_turns(works, given.repeats)
    return Row(
        f"gather of {len(calls):,} acalls",
        "calls/s",
        "higher",
        figures["ours"],
        [Peer("run_in_executor", figures["run_in_executor"], 4.0), Peer("bare futures", figures["bare futures"], 0.7)],
        bound_by="the interpreter: submit_many, which needs no futures, spends 1.0 µs on each call and the bare loop "
        "1.5 µs, whose sum would be 0.6 of the bare loop; acall's keywords and the future's fields are the rest",
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


def alone(engine: vf.Engine, pool: ThreadPoolExecutor, given: Options) -> list[Row]:
    count = 50 if given.quick else 2_000
    pixel = vf.Image.from_array(np.zeros((1, 1, 3), np.uint8))

    def one_by_one(work: Callable[[], Any]) -> list[float]:
        return [seconds(work) for _ in range(count)]

    async def executor_awaited() -> list[float]:
        loop = asyncio.get_running_loop()
        return await awaited(lambda: loop.run_in_executor(pool, nothing), count)

    pairs: dict[str, tuple[Callable[[], list[float]], Callable[[], list[float]]]] = {
        "call of a native Op": (
            lambda: one_by_one(lambda: engine.call("image.resize", pixel, size=(2, 2))),
            lambda: one_by_one(lambda: pool.submit(nothing).result()),
        ),
        "call": (
            lambda: one_by_one(lambda: engine.call("nothing")),
            lambda: one_by_one(lambda: pool.submit(nothing).result()),
        ),
        "submit, result": (
            lambda: one_by_one(lambda: engine.submit("nothing").result()),
            lambda: one_by_one(lambda: pool.submit(nothing).result()),
        ),
        "await acall": (
            lambda: asyncio.run(awaited(lambda: engine.acall("nothing"), count)),
            lambda: asyncio.run(executor_awaited()),
        ),
    }
    rows = []
    for name, (ours, theirs) in pairs.items():
        times = [(ours(), theirs()) for _ in range(given.repeats)]
        for share, limit in ((0.5, 30.0), (0.99, 200.0)):
            rows.append(
                Row(
                    f"a lone {name}, p{100 * share:.0f}",
                    "µs",
                    "lower",
                    [quantile(mine, share) for mine, _ in times],
                    [Peer("executor", [quantile(other, share) for _, other in times])],
                    limit=limit,
                    bound_by=HAND_OVER if share == 0.5 and "native" not in name else "",
                )
            )
    return rows


def wake_up() -> float:
    """The median round, in µs, of two Python threads that wake each other."""
    go, done = threading.Semaphore(0), threading.Semaphore(0)

    def answer() -> None:
        for _ in range(1000):
            go.acquire()
            done.release()

    thread = threading.Thread(target=answer)
    thread.start()

    def round_trip() -> None:
        go.release()
        done.acquire()

    times = [seconds(round_trip) for _ in range(1000)]
    thread.join()
    return 1e6 * statistics.median(times)


def main() -> None:
    given = options(__doc__)
    op = vf.Op(
        "nothing",
        "1",
        policy=vf.BatchPolicy(max_batch=1024),
        run=lambda calls: [None] * len(calls),
        cacheable=False,
    )
    with vf.Engine() as engine, ThreadPoolExecutor(1) as pool:
        engine.register(op)
        calls = numbered(given)
        executor = {"ThreadPoolExecutor": (len(calls), lambda: in_executor(pool, calls))}
        rows = [many_at_once(engine, given, executor), gathered(engine, pool, given)]
    with vf.Engine(cache_bytes=0) as engine, ThreadPoolExecutor(1) as pool:
        engine.register(op)
        rows += alone(engine, pool, given)
    with vf.Engine() as engine, RayPeers(quick=given.quick) as ray:
        engine.register(op)
        if works := ray.works(len(calls)):
            rows.append(many_at_once(engine, given, works))
    print(f"two threads that wake each other: {wake_up():.0f} µs for a round")
    finish(rows, given, __file__)


if __name__ == "__main__":
    main()
