"""A GRPO-shaped load: 64 tasks, 8 rollouts each, 3 turns with a call of zoom or ocr, beside a thread pool.

Starts and decoding times are those of ``traces/decoding.json``, recorded from the shipped policy: once as they were,
and once four times as fast, so that the tools are what bounds it. The calls of a group look at one picture, at one of
three regions, the first of them most often, and read or zoom, as rollouts of one task do. The peer is asyncio with a
thread pool of one thread per core over the same zoom and the same networks on one thread each, every call for itself.

The lower bound is the longer of two: the work of the different calls, each alone on one thread, shared by all cores;
and the longest chain of a trajectory's decoding and its calls, each alone. Needs the extras ocr and tasks.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _measuring import Options, Peer, Row, in_turns, options
from _table import finish

import vista_fast as vf
from vista_fast.models.backend import native_precision
from vista_fast.models.ocr import OcrConfig
from vista_fast.models.ocr.reader import OcrModel, read_text
from vista_fast.tasks.mini import OCR_SIDE, load

TRACE = Path(__file__).resolve().parent / "traces" / "decoding.json"
CORES = len(os.sched_getaffinity(0))
GROUP, TURNS = 8, 3
REGIONS = ((0.0, 0.0, 0.6, 0.5), (0.3, 0.4, 1.0, 1.0), (0.1, 0.2, 0.9, 0.8))
LIKELY = (6, 3, 1)


@dataclass(frozen=True)
class Look:
    """A call: which picture, which region of it (left, top, right, bottom in pixels), and whether to read it."""

    picture: int
    box: tuple[int, int, int, int]
    reads: bool


@dataclass(frozen=True)
class Trajectory:
    """A trajectory: when it starts, and by turn how long it decodes and where it looks then. Seconds."""

    start: float
    decoding: list[float]
    looks: list[Look]


Answer = Callable[[Look, int], Awaitable[Any]]


def trajectories(pictures: Sequence[vf.Image], speed: float) -> list[Trajectory]:
    draw = random.Random(11)
    recorded = json.loads(TRACE.read_text(encoding="utf-8"))[: GROUP * len(pictures)]
    paths = []
    for index, each in enumerate(recorded):
        picture = index // GROUP
        width, height = pictures[picture].width, pictures[picture].height
        looks = []
        for _ in range(TURNS):
            left, top, right, bottom = draw.choices(REGIONS, LIKELY)[0]
            box = (int(left * width), int(top * height), int(right * width), int(bottom * height))
            looks.append(Look(picture, box, reads=draw.random() < 0.5))
        turns = [each["turns"][turn % len(each["turns"])] / 1e3 / speed for turn in range(TURNS)]
        paths.append(Trajectory(each["start"] / 1e3 / speed, turns, looks))
    return paths


async def play(paths: Sequence[Trajectory], answer: Answer) -> float:
    """The makespan in seconds."""

    async def follow(path: Trajectory, flow: int) -> None:
        await asyncio.sleep(path.start)
        for decoding, look in zip(path.decoding, path.looks, strict=True):
            await asyncio.sleep(decoding)
            await answer(look, flow)

    started = time.perf_counter()
    await asyncio.gather(*(follow(path, flow) for flow, path in enumerate(paths)))
    return time.perf_counter() - started


def through_the_engine(
    paths: Sequence[Trajectory], pictures: Sequence[vf.Image], config: OcrConfig
) -> Callable[[], float]:
    def run() -> float:
        with vf.Engine() as engine:
            toolbox = vf.Toolbox.default(engine, ocr=config)
            warm = engine.image(np.full((64, 64, 3), 255, np.uint8))
            asyncio.run(toolbox.call(vf.ToolCall("ocr"), images=[warm]))  # loads the networks

            async def answer(look: Look, flow: int) -> None:
                call = vf.ToolCall("ocr" if look.reads else "zoom", {"bbox_2d": list(look.box)})
                observation = await toolbox.call(call, images=[pictures[look.picture]], flow=str(flow))
                assert observation.error is None, observation

            return asyncio.run(play(paths, answer))

    return run


class Alone:
    """Every call for itself, on the thread that makes it."""

    def __init__(self, pictures: Sequence[vf.Image], config: OcrConfig) -> None:
        self._pictures = pictures
        self._pixels = [np.asarray(picture) for picture in pictures]
        self._model = OcrModel(config, threads=1)
        self._engine = vf.Engine(threads=CORES, cache_bytes=0)

    def __call__(self, look: Look) -> None:
        left, top, right, bottom = look.box
        if look.reads:
            read_text(np.ascontiguousarray(self._pixels[look.picture][top:bottom, left:right]), self._model)
        else:
            self._engine.call("image.zoom", self._pictures[look.picture], box=look.box)

    def seconds_of(self, look: Look) -> float:
        started = time.perf_counter()
        self(look)
        return time.perf_counter() - started


def in_a_pool(paths: Sequence[Trajectory], alone: Alone) -> Callable[[], float]:
    def run() -> float:
        with ThreadPoolExecutor(CORES) as pool:

            async def answer(look: Look, flow: int) -> None:
                await asyncio.get_running_loop().run_in_executor(pool, alone, look)

            return asyncio.run(play(paths, answer))

    return run


def lower_bound(paths: Sequence[Trajectory], alone: Alone) -> tuple[float, float]:
    """Seconds of the merged work over all cores, and of the longest chain."""
    cost = {look: min(alone.seconds_of(look) for _ in range(2)) for path in paths for look in path.looks}
    chains = [path.start + sum(path.decoding) + sum(cost[look] for look in path.looks) for path in paths]
    return sum(cost.values()) / CORES, max(chains)


def row(speed: float, alone: Alone, pictures: Sequence[vf.Image], config: OcrConfig, given: Options) -> Row:
    paths = trajectories(pictures, speed)
    work, chain = lower_bound(paths, alone)
    bound = max(work, chain)
    looks = [look for path in paths for look in path.looks]
    print(f"{len(looks)} calls, {len(set(looks))} different; merged work {work:.2f} s, longest chain {chain:.2f} s")
    figures = in_turns(
        {"ours": through_the_engine(paths, pictures, config), "pool": in_a_pool(paths, alone)}, given.repeats
    )
    return Row(
        f"makespan of {len(pictures)} tasks × {GROUP} × {TURNS} turns, trace played {speed:g} times as fast",
        "s",
        "lower",
        figures["ours"],
        [Peer("thread pool, no merging", figures["pool"])],
        limit=1.15 * bound,
        bound_by=f"{'the work of the different calls' if work > chain else 'the longest chain'}, {bound:.2f} s: it "
        f"takes {statistics.median(figures['ours']) / bound:.2f} times that",
    )


def main() -> None:
    given = options(__doc__, repeats=5)
    with vf.Engine() as opener:
        pictures = [opener.image(task.images[0]) for task in load("train", size=2 if given.quick else 64, seed=1)]
    config = OcrConfig.at_side(OCR_SIDE, native_precision())
    alone = Alone(pictures, config)
    finish([row(speed, alone, pictures, config, given) for speed in (1.0, 4.0)], given, __file__)


if __name__ == "__main__":
    main()
