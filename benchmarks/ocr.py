"""Reading pages: the ocr tool through an engine beside RapidOCR on ONNX Runtime and on OpenVINO, images per second.

All read the same drawn pages, decoded beforehand, on all cores, with the same weights; how many of the texts are the
same is printed. RapidOCR reads one page after the other with its networks on all cores, or with one instance per core
on one thread each; for each of its backends the faster of the two is in the table. It comes in f32, as ours, and, where
the CPU computes in bf16, in the precision that OpenVINO then chooses by itself beside our bf16. The last row is a GRPO
group: 8 rollouts that read the same 4 pages. Needs the extras ocr and tasks.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from _measuring import Options, Peer, Row, in_turns, options, seconds
from _profile import profiled
from _table import finish
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from rapidocr import EngineType, RapidOCR

import vista_fast as vf
from vista_fast.models.backend import find_backend, native_precision, run_single
from vista_fast.models.ocr import OcrConfig
from vista_fast.models.ocr.ops import DETECT_BATCH, RECOGNIZE_BATCH
from vista_fast.models.ocr.reader import OcrModel, detection_size, padded_width
from vista_fast.models.ocr.weights import detection_weights, recognition_weights

PAGES, LINES, ROLLOUTS = 16, 6, 8
CORES = len(os.sched_getaffinity(0))
WORDS = ["invoice", "total", "amount", "due", "March", "42.50", "north", "7,310", "order", "98%", "balance", "A-17"]

Page = npt.NDArray[np.uint8]
Precision = Literal["f32", "bf16"]
Backend = Literal["ONNX Runtime", "OpenVINO"]
Read = Callable[[Sequence[Page]], list[str]]

OURS = "vista_fast"


def page(seed: int) -> Page:
    """448 × 448 pixels RGB with short lines, as a policy's crops have."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (448, 448), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 20)
    for line in range(LINES):
        draw.text((20, 20 + 70 * line), " ".join(random.choice(WORDS, random.integers(1, 5))), font=font, fill="black")
    return np.asarray(image)


def rapidocr(backend: Backend, threads: int, precision: Precision) -> RapidOCR:
    engine = {"ONNX Runtime": EngineType.ONNXRUNTIME, "OpenVINO": EngineType.OPENVINO}[backend]
    settings = {
        "Global.use_cls": False,
        "Global.log_level": "critical",
        "Det.engine_type": engine,
        "Rec.engine_type": engine,
        "Rec.rec_batch_num": 1,  # its fastest on a CPU: a batch is padded to its longest line
        "EngineConfig.openvino.inference_num_threads": threads,
        "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
    with openvino_precision(precision):
        reader = RapidOCR(params=settings)
        reader(np.ascontiguousarray(page(0)[..., ::-1]), use_cls=False)
    return reader


@contextmanager
def openvino_precision(precision: Precision) -> Iterator[None]:
    """Has RapidOCR compute in f32 on OpenVINO, for which it offers no setting."""
    from rapidocr.inference_engine.openvino.device_config import CPUConfig

    original = CPUConfig.get_config
    if precision == "f32":
        CPUConfig.get_config = lambda self: original(self) | {"INFERENCE_PRECISION_HINT": "f32"}
    try:
        yield
    finally:
        CPUConfig.get_config = original


def read_one(reader: RapidOCR, image: Page) -> str:
    return "\n".join(reader(np.ascontiguousarray(image[..., ::-1]), use_cls=False).txts or ())


def in_turn(backend: Backend, precision: Precision) -> Read:
    """RapidOCR, one page after the other, its networks on all cores."""
    reader = rapidocr(backend, CORES, precision)
    return lambda pages: [read_one(reader, image) for image in pages]


def side_by_side(backend: Backend, precision: Precision) -> Read:
    """RapidOCR, one instance per core with one thread each."""
    readers = [rapidocr(backend, 1, precision) for _ in range(CORES)]

    def read(pages: Sequence[Page]) -> list[str]:
        with ThreadPoolExecutor(CORES) as pool:
            shares = pool.map(lambda i: [read_one(readers[i], image) for image in pages[i::CORES]], range(CORES))
        texts = [""] * len(pages)
        for index, share in enumerate(shares):
            texts[index::CORES] = share
        return texts

    return read


def ours(precision: Precision) -> Read:
    """The ocr tool through an engine without a cache, all pages at once."""
    engine = vf.Engine(cache_bytes=0)
    toolbox = vf.Toolbox.default(engine, ocr=OcrConfig(precision=precision))

    async def read_all(pages: Sequence[Page]) -> list[str]:
        images = [engine.image(image) for image in pages]
        seen = await asyncio.gather(*(toolbox.call(vf.ToolCall("ocr"), images=[image]) for image in images))
        return [observation.text for observation in seen]

    def read(pages: Sequence[Page]) -> list[str]:
        return asyncio.run(read_all(pages))

    read([page(0)])
    return read


def networks_alone(pages: Sequence[Page], precision: Precision) -> float:
    """Seconds in which the two networks run over inputs of the pages' sizes, in the engine's batches, on all cores."""
    config = OcrConfig(precision=precision)
    finder = OcrModel(config, threads=CORES)
    load = find_backend(config.library)
    detection = load(detection_weights(), threads=CORES, precision=precision)
    recognition = load(recognition_weights(), threads=CORES, precision=precision)
    sizes: dict[tuple[int, int], int] = defaultdict(int)
    widths: dict[int, int] = defaultdict(int)
    for each in pages:
        height, width = each.shape[:2]
        sizes[detection_size(width, height, config)] += 1
        for quad in finder.detect([each])[0][0]:
            widths[padded_width(width, height, quad, config)] += 1
    batches: list[tuple[Any, tuple[int, ...]]] = []
    for (width, height), count in sizes.items():
        batches += [(detection, (size, 3, height, width)) for size in in_batches(count, DETECT_BATCH)]
    for width, count in widths.items():
        batches += [(recognition, (size, 3, 48, width)) for size in in_batches(count, RECOGNIZE_BATCH)]
    works = [(network, np.zeros(shape, np.float32)) for network, shape in batches]
    return min(seconds(lambda: [run_single(network, batch) for network, batch in works]) for _ in range(3))


def in_batches(count: int, largest: int) -> list[int]:
    return [min(largest, count - first) for first in range(0, count, largest)]


def row(name: str, readers: dict[str, Read], pages: Sequence[Page], networks: float, given: Options) -> Row:
    """``networks``: their seconds for the different ones of the pages."""
    texts = {reader: read(pages) for reader, read in readers.items()}
    for reader, read in texts.items():
        if reader == OURS:
            continue
        same = sum(one == other for one, other in zip(texts[OURS], read, strict=True))
        print(f"{name}: {reader} reads {same} of {len(pages)} pages as ours does")
    works = {reader: lambda read=read: len(pages) / seconds(lambda: read(pages)) for reader, read in readers.items()}
    figures = in_turns(works, given.repeats)
    mine = figures.pop(OURS)
    return Row(
        name,
        "images/s",
        "higher",
        mine,
        [Peer(peer, figures[peer]) for peer in fastest(figures)],
        bound_by="the two networks, which run on all cores",
        physical=len(pages) / networks,
        physical_is="the networks alone, in the engine's batches, for each different page once",
    )


def fastest(figures: dict[str, list[float]]) -> list[str]:
    """The faster way of each of RapidOCR's backends."""
    ways: dict[str, list[str]] = defaultdict(list)
    for name in figures:
        ways[name.partition(",")[0]].append(name)
    return [max(names, key=lambda name: statistics.median(figures[name])) for names in ways.values()]


def peers(precision: Precision, given: Options) -> dict[str, Read]:
    backends: tuple[Backend, ...] = ("ONNX Runtime", "OpenVINO") if precision == "f32" else ("OpenVINO",)
    ways = {"one at a time": in_turn} if given.quick else {"one at a time": in_turn, "one per core": side_by_side}
    return {
        f"RapidOCR on {backend}, {name}": way(backend, precision) for backend in backends for name, way in ways.items()
    }


def main() -> None:
    given = options(__doc__, repeats=5)
    pages = [page(seed) for seed in range(1 if given.quick else PAGES)]
    group = [image for image in pages[:4] for _ in range(2 if given.quick else ROLLOUTS)]
    rows, profiles = [], []
    for precision in ("f32", "bf16") if native_precision() == "bf16" and not given.quick else ("f32",):
        readers = {OURS: ours(precision), **peers(precision, given)}
        alone = networks_alone(pages, precision)
        rows.append(row(f"ocr of {len(pages)} pages, {precision}", readers, pages, alone, given))
        if precision == "f32":
            some = networks_alone(pages[:4], precision)
            name = f"ocr of {len(pages[:4])} pages by a group of {len(group) // len(pages[:4])}, f32"
            rows.append(row(name, readers, group, some, given))
            profiles = profiled(given, f"ocr of {len(pages)} pages", partial(readers[OURS], pages))
    finish(rows, given, __file__, profiles)


if __name__ == "__main__":
    main()
