"""Expectations at work: a group's burst fills its batch, and a trickle of single calls pays no max_delay.

Trajectories decode (here: numpy works, the event loop turns) and then call an Op whose batch may wait 20 ms for
company. With a token (``engine.expect``) for each trajectory that is decoding, the batch waits for just those; a policy
that lingers waits always, and one that does neither takes what is there.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy starts its threads

import asyncio
import random
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
from _measuring import Options, Peer, Row, in_turns, options, seconds
from _profile import profiled
from _table import finish

import vista_fast as vf

GROUP, MAX_DELAY = 8, 0.02
WORK = np.ones((160, 160), np.float32)


def run(calls: list[dict[str, Any]]) -> list[None]:
    """A network's step: most of its time does not depend on how many calls it has."""
    for _ in range(4):
        WORK @ WORK
    return [None] * len(calls)


def engine_with_op(linger: bool) -> vf.Engine:
    engine = vf.Engine(threads=1, cache_bytes=0)
    policy = vf.BatchPolicy(max_batch=GROUP, max_delay=MAX_DELAY, linger=linger)
    engine.register(vf.Op("step", "1", policy=policy, run=run, cacheable=False))
    return engine


async def trajectory(engine: vf.Engine, flow: int, tokens: bool, decoding: float, spent: list[float]) -> None:
    loop = asyncio.get_running_loop()
    with ExitStack() as expected:
        if tokens:
            expected.enter_context(engine.expect("step", flow=flow))
        await asyncio.sleep(decoding)
        started = loop.time()
        await engine.acall("step", x=flow, flow=flow)
        spent.append(loop.time() - started)


async def group(engine: vf.Engine, tokens: bool, draw: random.Random, spent: list[float]) -> None:
    """A group's turn: all decode from one moment on and end within a few milliseconds of each other."""
    decoding = [0.002 + 0.004 * draw.random() for _ in range(GROUP)]
    await asyncio.gather(*(trajectory(engine, flow, tokens, each, spent) for flow, each in enumerate(decoding)))


def measure(tokens: bool, linger: bool, single: bool, turns: int) -> Callable[[], float]:
    """Calls in a batch of bursts, or else the milliseconds of a call in a trickle."""

    def once() -> float:
        draw, spent = random.Random(3), list[float]()

        async def all_turns() -> None:
            for turn in range(turns):
                if single:
                    await trajectory(engine, turn, tokens, 0.002, spent)
                else:
                    await group(engine, tokens, draw, spent)

        with engine_with_op(linger) as engine:
            asyncio.run(all_turns())
            batches = engine.stats()["ops"]["step"]["batches"]
        return 1e3 * sum(spent) / len(spent) if single else GROUP * turns / batches

    return once


def row(name: str, unit: str, single: bool, given: Options) -> Row:
    turns = 2 if given.quick else 40
    figures = in_turns(
        {
            "tokens": measure(True, False, single, turns),
            "neither": measure(False, False, single, turns),
            "lingering": measure(False, True, single, turns),
        },
        given.repeats,
    )
    wanted = {"neither": 0.8 if single else 2.0, "lingering": 5.0 if single else 0.95}
    return Row(
        name,
        unit,
        "lower" if single else "higher",
        figures.pop("tokens"),
        [Peer(f"the same, {peer}", each, wanted[peer]) for peer, each in figures.items()],
        bound_by="the Op's own arithmetic and the threads' wake-ups" if single else "the size of a group",
        physical=1e3 * min(seconds(lambda: run([{}])) for _ in range(20)) if single else GROUP,
        physical_is="the batch function alone" if single else "all calls of a group in one batch",
    )


def main() -> None:
    given = options(__doc__)
    rows = [
        row(f"bursts of {GROUP} with tokens", "calls a batch", False, given),
        row("a trickle of single calls with tokens", "ms a call", True, given),
    ]
    profiles = profiled(given, f"bursts of {GROUP} with tokens", measure(True, False, False, 20))
    finish(rows, given, __file__, profiles)


if __name__ == "__main__":
    main()
