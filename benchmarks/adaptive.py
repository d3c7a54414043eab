"""A batch policy that adapts, beside the best of fixed ones, on three shapes of load: steady, bursty, trickle.

The Op computes: a part that each batch pays and a part for each call, with the GIL released. Mean time of a call from
its arrival to its result. For each shape a first pass over a grid of max_batch and max_delay picks the three best fixed
policies, which are then measured beside the adaptive one, in turns. ``tests/cpp/sched/adaptive_load_test.cc`` holds the
same comparison to 10 % in virtual time, where no other program disturbs it.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy starts its threads

import random
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from _measuring import Options, Peer, Row, in_turns, options
from _profile import profiled
from _table import finish

import vista_fast as vf

MOST = vf.BatchPolicy(max_batch=64, max_delay=0.01, adaptive=True)
GRID = [
    vf.BatchPolicy(max_batch=batch, max_delay=delay, linger=delay > 0)
    for batch, delay in product((1, 4, 16, 64), (0.0, 0.002, 0.01))
]
FIXED, EACH = np.ones((440, 440), np.float32), np.ones((170, 170), np.float32)


def run(calls: list[dict[str, Any]]) -> list[None]:
    FIXED @ FIXED
    for _ in calls:
        EACH @ EACH
    return [None] * len(calls)


def unit() -> float:
    """Seconds of a batch of one on this machine, in which the loads are told."""
    times = []
    for _ in range(50):
        started = time.perf_counter()
        run([{}])
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def steady(one: float, draw: random.Random) -> Iterator[float]:
    """Gaps of a Poisson process with twice the calls that batches of one could serve."""
    while True:
        yield draw.expovariate(2 / one)


def bursty(one: float, draw: random.Random) -> Iterator[float]:
    """Forty calls within four batches of one, every hundred of them."""
    while True:
        yield 100 * one
        yield from (draw.random() * one / 5 for _ in range(39))


def trickle(one: float, draw: random.Random) -> Iterator[float]:
    """Single calls with a dozen batches of one between them."""
    while True:
        yield 12 * one * (0.5 + draw.random())


def mean_latency(
    policy: vf.BatchPolicy, load: Callable[[float, random.Random], Iterator[float]], one: float, count: int
) -> float:
    """Milliseconds from a call's arrival, as the load has it, to its result."""
    spent: list[float] = []
    with vf.Engine(threads=1, cache_bytes=0) as engine:
        engine.register(vf.Op("compute", "1", policy=policy, run=run, cacheable=False))
        futures, arrival = [], time.perf_counter() + 0.01
        for x, gap in zip(range(count), load(one, random.Random(5)), strict=False):
            arrival += gap
            if (left := arrival - time.perf_counter()) > 0:
                time.sleep(left)
            future = engine.submit("compute", x=x)
            future.add_done_callback(lambda _, at=arrival: spent.append(time.perf_counter() - at))  # type: ignore[misc]
            futures.append(future)
        for future in futures:
            future.result()
    settled = sorted(spent[count // 5 :])  # the policy has to learn first
    return 1e3 * statistics.fmean(settled)


def describe(policy: vf.BatchPolicy) -> str:
    return f"max_batch {policy.max_batch}, max_delay {1e3 * policy.max_delay:g} ms"


def row(load: Callable[[float, random.Random], Iterator[float]], one: float, given: Options) -> Row:
    count = 40 if given.quick else 160 if load is trickle else 1200
    scouted = {policy: mean_latency(policy, load, one, count) for policy in (GRID[:4] if given.quick else GRID)}
    best = sorted(scouted, key=scouted.__getitem__)[:3]
    works = {describe(policy): lambda policy=policy: mean_latency(policy, load, one, count) for policy in best}  # type: ignore[misc]
    figures = in_turns({"adaptive": lambda: mean_latency(MOST, load, one, count), **works}, given.repeats)
    ours = figures.pop("adaptive")
    fastest = min(figures, key=lambda name: statistics.median(figures[name]))
    return Row(
        f"adaptive policy, {load.__name__} load",
        "ms a call",
        "lower",
        ours,
        [Peer(f"best fixed ({fastest})", figures[fastest], 1 / 1.1)],
        bound_by="the Op's own arithmetic, for which the calls of a burst or a busy stretch queue",
        physical=1e3 * one,
        physical_is="a batch of one that meets an idle engine",
    )


def main() -> None:
    given = options(__doc__, repeats=5)
    one = unit()
    print(f"a batch of one takes {1e3 * one:.2f} ms")
    rows = [row(load, one, given) for load in (steady, bursty, trickle)]
    profiles = profiled(given, "steady load", lambda: mean_latency(MOST, steady, one, 400))
    finish(rows, given, __file__, profiles)


if __name__ == "__main__":
    main()
