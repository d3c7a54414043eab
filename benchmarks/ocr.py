"""What it costs to read pages: the ocr Ops through an engine beside RapidOCR on its fastest CPU backend, OpenVINO.

Both read the same drawn pages, decoded beforehand, on all cores, with the same weights, and the text must be the same.
RapidOCR reads one page after the other with its networks on all cores, or with one instance per core on one thread
each; the faster of the two counts. It comes in f32, as ours, and in the precision that OpenVINO chooses by itself (bf16
on CPUs with AMX) beside our bf16. The last row is a GRPO group: 8 rollouts that read the same 4 pages.
Needs the extras ocr and tasks. Run it as ``python benchmarks/ocr.py``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from rapidocr import EngineType, RapidOCR
from rapidocr.inference_engine.openvino.device_config import CPUConfig

import vista_fast as vf
from vista_fast.models.ocr import OcrConfig

PAGES, LINES, ROLLOUTS, RUNS = 16, 6, 8, 5
CORES = len(os.sched_getaffinity(0))
WORDS = ["invoice", "total", "amount", "due", "March", "42.50", "north", "7,310", "order", "98%", "balance", "A-17"]

Page = npt.NDArray[np.uint8]
Precision = Literal["f32", "bf16"]
Read = Callable[[Sequence[Page]], list[str]]


def page(seed: int) -> Page:
    """448 × 448 pixels RGB with short lines, as a policy's crops have."""
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (448, 448), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), 20)
    for line in range(LINES):
        draw.text((20, 20 + 70 * line), " ".join(random.choice(WORDS, random.integers(1, 5))), font=font, fill="black")
    return np.asarray(image)


def rapidocr(threads: int, precision: Precision) -> RapidOCR:
    settings = {
        "Global.use_cls": False,
        "Global.log_level": "critical",
        "Det.engine_type": EngineType.OPENVINO,
        "Rec.engine_type": EngineType.OPENVINO,
        "Rec.rec_batch_num": 1,
        "EngineConfig.openvino.inference_num_threads": threads,
    }
    original = CPUConfig.get_config
    if precision == "f32":  # it offers no setting for it
        CPUConfig.get_config = lambda self: original(self) | {"INFERENCE_PRECISION_HINT": "f32"}
    try:
        reader = RapidOCR(params=settings)
        reader(np.ascontiguousarray(page(0)[..., ::-1]), use_cls=False)
    finally:
        CPUConfig.get_config = original
    return reader


def read_one(reader: RapidOCR, image: Page) -> str:
    return "\n".join(reader(np.ascontiguousarray(image[..., ::-1]), use_cls=False).txts or ())


def in_turn(precision: Precision) -> Read:
    """RapidOCR, one page after the other, its networks on all cores."""
    reader = rapidocr(CORES, precision)
    return lambda pages: [read_one(reader, image) for image in pages]


def side_by_side(precision: Precision) -> Read:
    """RapidOCR, one instance per core with one thread each."""
    readers = [rapidocr(1, precision) for _ in range(CORES)]

    def read(pages: Sequence[Page]) -> list[str]:
        with ThreadPoolExecutor(CORES) as pool:
            shares = pool.map(lambda i: [read_one(readers[i], image) for image in pages[i::CORES]], range(CORES))
        texts = [""] * len(pages)
        for index, share in enumerate(shares):
            texts[index::CORES] = share
        return texts

    return read


def ours(precision: Precision, cache_bytes: int = 0) -> Read:
    """The ocr tool through an engine, all pages at once; without a cache unless told."""
    engine = vf.Engine(cache_bytes=cache_bytes)
    toolbox = vf.Toolbox.default(engine, ocr=OcrConfig(precision=precision))

    async def read_all(pages: Sequence[Page]) -> list[str]:
        images = [engine.image(image) for image in pages]
        seen = await asyncio.gather(*(toolbox.call(vf.ToolCall("ocr"), images=[image]) for image in images))
        return [observation.text for observation in seen]

    def read(pages: Sequence[Page]) -> list[str]:
        return asyncio.run(read_all(pages))

    read([page(0)])
    return read


@dataclass
class Measured:
    seconds: list[float]
    texts: list[str]


def measure(readers: dict[str, Read], pages: Sequence[Page]) -> dict[str, Measured]:
    """Every reader in turn, RUNS times over, so that a change of the machine's speed meets all of them."""
    measured = {name: Measured([], []) for name in readers}
    for _ in range(RUNS):
        for name, read in readers.items():
            start = time.perf_counter()
            texts = read(pages)
            measured[name].seconds.append(time.perf_counter() - start)
            measured[name].texts = texts
    return measured


def report(title: str, measured: dict[str, Measured], pages: int) -> None:
    mine = measured["vista_fast"]
    print(f"\n{title}: ms per page, median (lowest to highest of {RUNS})")
    for name, result in measured.items():
        per_page = sorted(1e3 * seconds / pages for seconds in result.seconds)
        same = sum(one == other for one, other in zip(mine.texts, result.texts, strict=True))
        print(
            f"  {name:<28}{statistics.median(per_page):>8.1f} ({per_page[0]:.1f} to {per_page[-1]:.1f})"
            f"   {same} of {pages} pages with the same text"
        )
    peers = [result.seconds for name, result in measured.items() if name != "vista_fast"]
    best = min(peers, key=statistics.median)
    ratios = sorted(theirs / our for our, theirs in zip(mine.seconds, best, strict=True))
    print(f"  RapidOCR's best / vista_fast  {statistics.median(ratios):.2f}x ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    pages = [page(seed) for seed in range(PAGES)]
    print(f"{PAGES} pages of 448x448 with {LINES} lines, {CORES} cores")
    for precision in ("f32", "bf16"):
        peers = {
            "RapidOCR, one at a time": in_turn(precision),
            "RapidOCR, one per core": side_by_side(precision),
        }
        report(precision, measure({"vista_fast": ours(precision), **peers}, pages), PAGES)
        if precision == "f32":
            group = [image for image in pages[:4] for _ in range(ROLLOUTS)]
            report(
                f"{precision}, {ROLLOUTS} rollouts of 4 pages",
                measure({"vista_fast": ours(precision), **peers}, group),
                len(group),
            )


if __name__ == "__main__":
    main()
