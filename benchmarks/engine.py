"""What the engine itself costs: calls that do nothing, beside a thread pool, alone and from an event loop.

The peer is concurrent.futures' ThreadPoolExecutor with the number of workers that suits it best here (one, because
nothing is computed). Throughput: many calls at once, through submit_many, one future per call, and an event loop's
gather. Latency: one call after the other, from its submission to its result. No call can be joined or cached.
Run it as ``python benchmarks/engine.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import vista_fast as vf

CALLS, SINGLE_CALLS, RUNS = 20_000, 2_000, 7

Measure = Callable[[], float]


def nothing(**arguments: Any) -> None:
    """The peer's call."""


def seconds(run: Callable[[], Any]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def median_latency(call: Callable[[], Any]) -> float:
    return statistics.median(seconds(call) for _ in range(SINGLE_CALLS))


async def median_awaited(call: Callable[[], Awaitable[Any]]) -> float:
    taken = []
    for _ in range(SINGLE_CALLS):
        started = time.perf_counter()
        await call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def throughputs(engine: vf.Engine, pool: ThreadPoolExecutor) -> dict[str, tuple[Measure, Measure]]:
    """By name: seconds of our run and of the peer's, for CALLS calls each."""
    arguments = [{"x": x} for x in range(CALLS)]

    def one_by_one() -> None:
        for future in [engine.submit("nothing", **each) for each in arguments]:
            future.result()

    def peer() -> None:
        for future in [pool.submit(nothing, **each) for each in arguments]:
            future.result()

    async def gather() -> None:
        await asyncio.gather(*(engine.acall("nothing", **each) for each in arguments))

    async def peer_gather() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(pool, nothing) for _ in arguments))

    return {
        "submit_many": (
            lambda: seconds(lambda: engine.submit_many("nothing", arguments).result()),
            lambda: seconds(peer),
        ),
        "submit": (lambda: seconds(one_by_one), lambda: seconds(peer)),
        "acall": (lambda: seconds(lambda: asyncio.run(gather())), lambda: seconds(lambda: asyncio.run(peer_gather()))),
    }


def latencies(engine: vf.Engine, pool: ThreadPoolExecutor) -> dict[str, tuple[Measure, Measure]]:
    """By name: our median latency and the peer's."""

    def awaited() -> float:
        return asyncio.run(median_awaited(lambda: engine.acall("nothing")))

    def peer_awaited() -> float:
        async def run() -> float:
            loop = asyncio.get_running_loop()
            return await median_awaited(lambda: loop.run_in_executor(pool, nothing))

        return asyncio.run(run())

    def peer() -> float:
        return median_latency(lambda: pool.submit(nothing).result())

    return {
        "call": (lambda: median_latency(lambda: engine.call("nothing")), peer),
        "submit": (lambda: median_latency(lambda: engine.submit("nothing").result()), peer),
        "acall": (awaited, peer_awaited),
    }


def paired(ours: Measure, peer: Measure) -> tuple[float, float, list[float]]:
    """Medians of both, run in turns, and the peer's time over ours for every pair."""
    pairs = [(ours(), peer()) for _ in range(RUNS)]
    ratios = sorted(their / our for our, their in pairs)
    return statistics.median(our for our, _ in pairs), statistics.median(their for _, their in pairs), ratios


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    op = vf.Op(
        "nothing",
        "1",
        policy=vf.BatchPolicy(max_batch=1024),
        run=lambda calls: [None] * len(calls),
        cacheable=False,
    )
    with vf.Engine() as engine, ThreadPoolExecutor(1) as pool:
        engine.register(op)
        print(f"{'calls per second':24} {'vista_fast':>12} {'thread pool':>12}   ratio (range of {RUNS} pairs)")
        for name, (ours, peer) in throughputs(engine, pool).items():
            our, their, ratios = paired(ours, peer)
            print(
                f"{name:24} {CALLS / our:12,.0f} {CALLS / their:12,.0f}   "
                f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
            )
        print(f"{'latency, microseconds':24} {'vista_fast':>12} {'thread pool':>12}   ratio")
        for name, (ours, peer) in latencies(engine, pool).items():
            our, their, ratios = paired(ours, peer)
            print(
                f"{name:24} {1e6 * our:12.1f} {1e6 * their:12.1f}   "
                f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})"
            )


if __name__ == "__main__":
    main()
