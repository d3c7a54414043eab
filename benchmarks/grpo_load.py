"""A GRPO-shaped load: 64 tasks, 8 rollouts each, 3 turns with a call of zoom or ocr, beside a thread pool.

Starts and decoding times are those of ``traces/decoding.json``, recorded from the shipped policy: once as they were,
and once four times as fast, so that the tools are what bounds it. The calls of a group look at one picture, at one of
three regions, the first of them most often, and read or zoom, as rollouts of one task do. The peer is asyncio with a
thread pool of one thread per core over the same zoom and the same networks on one thread each, every call for itself.

The lower bound is the longer of two: the work of the different Ops (a picture's detection, a line's recognition, a
zoom), each once, alone and on one thread, shared by all cores; and the longest chain of a trajectory's decoding and its
Ops, each once and shared by all cores. Engine and networks start before the clock does. Needs the extras ocr and tasks.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt
from _measuring import Options, Peer, Row, in_turns, options, seconds
from _profile import profiled
from _table import finish

import vista_fast as vf
from vista_fast.models.backend import native_precision
from vista_fast.models.ocr import OcrConfig
from vista_fast.models.ocr.reader import OcrModel, padded_width
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
Work = Callable[[], float]
Quad = npt.NDArray[np.float32]


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


def through_the_engine(paths: Sequence[Trajectory], pictures: Sequence[vf.Image], config: OcrConfig) -> Work:
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
    """Every call for itself, on the thread that makes it; the same Ops as the engine's."""

    def __init__(self, pictures: Sequence[vf.Image], config: OcrConfig) -> None:
        self._pictures = pictures
        self._pixels = [np.asarray(picture) for picture in pictures]
        self._config = config
        self._models = SimpleQueue[OcrModel]()
        for _ in range(CORES):  # one for each thread, because a model runs one batch at a time
            self._models.put(OcrModel(config, threads=1))
        self._engine = vf.Engine(threads=CORES, cache_bytes=0)

    def __call__(self, look: Look) -> None:
        if not look.reads:
            self._engine.call("image.zoom", self._pictures[look.picture], box=look.box)
            return
        by_width: dict[int, list[Quad]] = defaultdict(list)
        for quad in self._detect(look):
            by_width[self._width(look, quad)].append(quad)
        for quads in by_width.values():
            self._recognize(look, quads)

    def works(self, look: Look) -> dict[Hashable, Callable[[], object]]:
        """The Ops of a call by what tells them apart."""
        if not look.reads:
            return {(look.picture, look.box): lambda: self(look)}
        works: dict[Hashable, Callable[[], object]] = {look.picture: lambda: self._detect(look)}
        for quad in self._detect(look):
            works[look.picture, quad.tobytes()] = partial(self._recognize, look, [quad])
        return works

    def _detect(self, look: Look) -> list[Quad]:
        """The lines whose centres lie in the box, of the whole picture, as the tool does."""
        with self._model() as model:
            ((quads, _),) = model.detect([self._pixels[look.picture]])
        left, top, right, bottom = look.box
        centres = [(quad, *quad.mean(axis=0)) for quad in quads]
        return [quad for quad, x, y in centres if left <= x < right and top <= y < bottom]

    def _recognize(self, look: Look, quads: Sequence[Quad]) -> None:
        with self._model() as model:
            model.recognize([(self._pixels[look.picture], quad) for quad in quads])

    @contextmanager
    def _model(self) -> Iterator[OcrModel]:
        model = self._models.get()
        try:
            yield model
        finally:
            self._models.put(model)

    def _width(self, look: Look, quad: Quad) -> int:
        picture = self._pictures[look.picture]
        return padded_width(picture.width, picture.height, quad, self._config)


def in_a_pool(paths: Sequence[Trajectory], alone: Alone) -> Work:
    def run() -> float:
        with ThreadPoolExecutor(CORES) as pool:

            async def answer(look: Look, flow: int) -> None:
                await asyncio.get_running_loop().run_in_executor(pool, alone, look)

            return asyncio.run(play(paths, answer))

    return run


def costs(looks: Sequence[Look], alone: Alone) -> dict[Look, dict[Hashable, float]]:
    """For each call the seconds of its Ops."""
    works = {look: alone.works(look) for look in looks}
    different = {key: work for each in works.values() for key, work in each.items()}
    taken = {key: min(seconds(work) for _ in range(3)) for key, work in different.items()}
    return {look: {key: taken[key] for key in each} for look, each in works.items()}


def lower_bound(paths: Sequence[Trajectory], cost: Mapping[Look, Mapping[Hashable, float]]) -> tuple[float, float]:
    """Seconds of the merged work over all cores, and of the longest chain."""

    def merged(looks: Sequence[Look]) -> float:
        return sum({key: taken for look in looks for key, taken in cost[look].items()}.values()) / CORES

    work = merged([look for path in paths for look in path.looks])
    return work, max(path.start + sum(path.decoding) + merged(path.looks) for path in paths)


def row(
    paths: Sequence[Trajectory], bounds: tuple[float, float], name: str, works: Mapping[str, Work], given: Options
) -> Row:
    work, chain = bounds
    bound = max(bounds)
    looks = [look for path in paths for look in path.looks]
    print(f"{len(looks)} calls, {len(set(looks))} different; merged work {work:.2f} s, longest chain {chain:.2f} s")
    figures = in_turns(works, given.repeats)
    ours = statistics.median(figures["ours"]) / bound
    return Row(
        f"makespan of {name}",
        "s",
        "lower",
        figures["ours"],
        [Peer("thread pool, no merging", figures["pool"])],
        limit=1.15 * bound,
        bound_by=f"{'the work of the different Ops' if work > chain else 'the longest chain'}, of which it takes "
        f"{ours:.2f} times the time",
        physical=bound,
        physical_is=f"the longer of {work:.2f} s, the different Ops on all cores, and {chain:.2f} s, the longest chain",
    )


def main() -> None:
    given = options(__doc__, repeats=5)
    count = 2 if given.quick else 64
    with vf.Engine() as opener:
        pictures = [opener.image(task.images[0]) for task in load("train", size=count, seed=1)]
    config = OcrConfig.at_side(OCR_SIDE, native_precision())
    alone = Alone(pictures, config)
    cost = costs(list({look for path in trajectories(pictures, 1.0) for look in path.looks}), alone)
    rows, profiles = [], []
    for speed in (1.0, 4.0):
        paths = trajectories(pictures, speed)
        name = f"{count} tasks × {GROUP} × {TURNS} turns, trace played {speed:g} times as fast"
        ours = through_the_engine(paths, pictures, config)
        works = {"ours": ours, "pool": in_a_pool(paths, alone)}
        rows.append(row(paths, lower_bound(paths, cost), name, works, given))
        if speed > 1:
            profiles += profiled(given, name, ours)
    finish(rows, given, __file__, profiles)


if __name__ == "__main__":
    main()
