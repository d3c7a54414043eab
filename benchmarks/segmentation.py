"""Segmenting: the segment tool through an engine beside SAM 2 that encodes the image anew with every call.

Both use the same networks, on the same libraries, on all cores, for the same photographs, decoded beforehand, and the
same prompts: as many rollouts of each image, each with a point of its own. Peers encode and decode one call after the
other, or with one instance per core on one thread each; they get a part of the calls, because each costs the same. Ours
makes all of them at once, without a cache, numbers and overlays included. Fetches the weights (151 MB) where they are
not here. Needs the extras ocr and tasks.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt
from _measuring import Options, Peer, Row, in_turns, options, seconds
from _profile import profiled
from _table import finish
from sklearn.datasets import load_sample_images

import vista_fast as vf
from vista_fast.models.segmentation import Prompt, SegmentationConfig, SegmentationModel
from vista_fast.models.weights import fetch_weight

IMAGES, PROMPTS, PEER_CALLS = 16, 8, 4
AT_LEAST = 6.0
SIZE = (448, 448)
CORES = len(os.sched_getaffinity(0))

Pixels = npt.NDArray[np.uint8]
Call = tuple[Pixels, tuple[float, float]]
Segment = Callable[[Sequence[Call]], object]

OURS = "vista_fast"


def photographs(count: int) -> list[Pixels]:
    """Crops of 448 × 448 pixels out of two photographs, each another one."""
    sources = load_sample_images().images
    random = np.random.default_rng(0)
    crops = []
    for index in range(count):
        source = np.pad(sources[index % len(sources)], ((11, 11), (0, 0), (0, 0)), mode="edge")
        left, top = (
            int(random.integers(0, room + 1)) for room in (source.shape[1] - SIZE[0], source.shape[0] - SIZE[1])
        )
        crops.append(np.ascontiguousarray(source[top : top + SIZE[1], left : left + SIZE[0]]))
    return crops


def points(count: int) -> list[tuple[float, float]]:
    random = np.random.default_rng(1)
    return [(float(x), float(y)) for x, y in random.integers(40, 408, (count, 2))]


def encode_per_call(model: SegmentationModel, call: Call) -> None:
    image, point = call
    model.decode(model.encode(image), SIZE, [Prompt.of(SIZE, [point])])


def in_turn() -> Segment:
    model = SegmentationModel(threads=CORES)
    return lambda calls: [encode_per_call(model, call) for call in calls]


def side_by_side() -> Segment:
    models = [SegmentationModel(threads=1) for _ in range(CORES)]

    def share(first: int, calls: Sequence[Call]) -> None:
        for call in calls[first::CORES]:
            encode_per_call(models[first], call)

    def segment(calls: Sequence[Call]) -> None:
        with ThreadPoolExecutor(CORES) as pool:
            list(pool.map(lambda first: share(first, calls), range(CORES)))

    return segment


def ours() -> Segment:
    """The segment tool through an engine without a cache, all calls at once."""
    engine = vf.Engine(cache_bytes=0)
    toolbox = vf.Toolbox.default(engine, ocr=None, segmentation=SegmentationConfig())

    async def segment_all(calls: Sequence[Call]) -> None:
        tools = [
            toolbox.call(vf.ToolCall("segment", {"points": [point]}), images=[engine.image(image)], flow=f"{number}")
            for number, (image, point) in enumerate(calls)
        ]
        failed = [observation.error for observation in await asyncio.gather(*tools) if observation.error is not None]
        assert not failed, failed

    return lambda calls: asyncio.run(segment_all(calls))


def networks_alone(images: Sequence[Pixels], prompts: Sequence[tuple[float, float]], runs: int) -> float:
    """Seconds of one encoding per image and its prompts in one batch, from the fastest of some runs of each."""
    model = SegmentationModel(threads=CORES)
    given = [Prompt.of(SIZE, [point]) for point in prompts]
    embedding = model.encode(images[0])
    encoding = min(seconds(lambda: model.encode(images[0])) for _ in range(runs))
    decoding = min(seconds(lambda: model.decode(embedding, SIZE, given)) for _ in range(runs))
    return len(images) * (encoding + decoding)


def row(calls: Sequence[Call], peer_calls: Sequence[Call], alone: float, given: Options, mine: Segment) -> Row:
    segmenters: dict[str, tuple[Segment, Sequence[Call]]] = {OURS: (mine, calls)}
    segmenters["encode per call, one at a time"] = in_turn(), peer_calls
    if not given.quick:
        segmenters["encode per call, one per core"] = side_by_side(), peer_calls

    def rate(name: str) -> float:
        segment, some = segmenters[name]
        return len(some) / seconds(lambda: segment(some))

    figures = in_turns({name: partial(rate, name) for name in segmenters}, given.repeats)
    images = len({id(image) for image, _ in calls})
    return Row(
        f"segmenting {images} images, {len(calls) // images} prompts each",
        "prompts/s",
        "higher",
        figures.pop(OURS),
        [Peer(name, each, AT_LEAST) for name, each in figures.items()],
        bound_by="the encoder, which runs once per image on all cores",
        physical=len(calls) / alone,
        physical_is="the networks alone: one encoding per image, and its prompts in one batch",
    )


def main() -> None:
    given = options(__doc__, repeats=3)
    for name in ("sam2-hiera-tiny-encoder", "sam2-hiera-tiny-decoder"):
        fetch_weight(name)
    images = photographs(1 if given.quick else IMAGES)
    prompts = points(2 if given.quick else PROMPTS)
    # As rollouts come: the first calls of all images, then the second ones.
    calls = [(image, point) for point in prompts for image in images]
    mine = ours()
    alone = networks_alone(images, prompts, given.repeats)
    rows = [row(calls, calls[: 1 if given.quick else PEER_CALLS], alone, given, mine)]
    finish(rows, given, __file__, profiled(given, "segmenting", partial(mine, calls[:PROMPTS])))


if __name__ == "__main__":
    main()
