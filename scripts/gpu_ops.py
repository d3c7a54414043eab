"""Ops on networks on a GPU beside the same on the CPU of its machine, for gpu_check."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    import vista_fast as vf
    from vista_fast.models.backend import Device

REPEATS = 5
WORDS = ("Total", "amount", "due", "42.50", "March", "7,310", "City of", "Rome", "98%", "invoice", "A-17", "paid by")

Image: TypeAlias = Any
Pixels: TypeAlias = "np.ndarray[Any, np.dtype[np.uint8]]"
Run: TypeAlias = "Callable[[vf.Engine, Sequence[Image]], object]"


@dataclass(frozen=True)
class Work:
    """What is measured.

    Attributes:
        name: of it.
        register: gives an engine its Ops on a device, and returns the name of the library that runs them.
        run: takes decoded images through them, all at once.
        picture: makes the image of a number.
        images: in one run.
    """

    name: str
    register: Callable[[vf.Engine, Device], str]
    run: Run
    picture: Callable[[int], Pixels]
    images: int


def measure_ops(device: Device, works: Sequence[Work] | None = None) -> Iterator[dict[str, object]]:
    """Images per second of each work (default: WORKS) on ``device`` and on the CPU, in turns, without a cache. Every
    repeat has images of its own, because networks meet new shapes all the time."""
    import vista_fast as vf

    for work in WORKS if works is None else works:
        rates: dict[str, list[float]] = {"GPU": [], "CPU": []}
        libraries: dict[str, str] = {}
        missing, failed = "", False
        try:
            with ExitStack() as stack:
                sides = {}
                for name, where in zip(rates, (device, "cpu"), strict=True):
                    engine = stack.enter_context(vf.Engine(cache_bytes=0))
                    libraries[name] = work.register(engine, where)
                    sides[name] = partial(_seconds, work, engine)
                for turn in range(REPEATS + 1):
                    pictures = [work.picture(work.images * turn + number) for number in range(work.images)]
                    for name, seconds in sides.items():
                        rate = work.images / seconds(pictures)
                        if turn:  # the first loads networks
                            rates[name].append(rate)
        except Exception as error:  # what was measured must not be lost with it
            missing = f"{type(error).__name__}: {error}"[:300]
            failed = len(libraries) == len(rates)  # what it needs is here
        yield {
            "op": work.name,
            "images": work.images,
            "libraries": libraries,
            "images_per_s": rates,
            "ratio": [gpu / cpu for gpu, cpu in zip(*rates.values(), strict=False)],
            "not_measured": missing,
            "failed": failed,
        }


def _seconds(work: Work, engine: vf.Engine, pictures: Sequence[Pixels]) -> float:
    """Of a run with images that are decoded."""
    images = [engine.image(picture) for picture in pictures]
    started = time.perf_counter()
    work.run(engine, images)
    return time.perf_counter() - started


def _ocr(engine: vf.Engine, device: Device) -> str:
    from vista_fast.models.ocr import OcrConfig
    from vista_fast.models.ocr.ops import register_ocr

    config = OcrConfig(device=device)
    register_ocr(engine, config)
    return config.library


def _read(engine: vf.Engine, images: Sequence[Image]) -> object:
    found = engine.submit_many("ocr.detect", [{"image": image} for image in images]).result()
    lines = [
        {"image": image, "quad": tuple(quad.ravel().tolist())}
        for image, each in zip(images, found, strict=True)
        for quad in each["quads"]
    ]
    return engine.submit_many("ocr.recognize", lines).result()


def _segmentation(engine: vf.Engine, device: Device) -> str:
    from vista_fast.models.segmentation import SegmentationConfig
    from vista_fast.models.segmentation.ops import register_segmentation

    config = SegmentationConfig(device=device)
    register_segmentation(engine, config)
    return config.library


def _decode(engine: vf.Engine, images: Sequence[Image]) -> object:
    """Eight prompts each."""
    points = [(40.0 + 50 * number, 300.0 - 20 * number) for number in range(8)]
    calls = [{"image": image, "points": (point,)} for point in points for image in images]
    return engine.submit_many("segment.decode", calls).result()


def _layout(engine: vf.Engine, device: Device) -> str:
    from vista_fast.models.documents import DocumentConfig
    from vista_fast.models.documents.ops import register_documents

    config = DocumentConfig(device=device)
    register_documents(engine, config)
    return config.library


def _coco(engine: vf.Engine, device: Device) -> str:
    from vista_fast.models.grounding import GroundingConfig, register_grounding

    config = GroundingConfig(model="coco", device=device)
    register_grounding(engine, config)
    return config.coco_library


def _each(op: str) -> Run:
    return lambda engine, images: engine.submit_many(op, [{"image": image} for image in images]).result()


def _page(number: int) -> Pixels:
    """Twelve lines of words."""
    from PIL import Image, ImageDraw, ImageFont

    random = np.random.default_rng(number)
    image = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(image)
    for row in range(12):
        text = " ".join(random.choice(WORDS, random.integers(1, 8)))
        draw.text((12 + random.integers(0, 40), 8 + 39 * row), text, font=ImageFont.load_default(20), fill="black")
    return np.asarray(image)


def _noise(number: int) -> Pixels:
    return np.random.default_rng(number).integers(0, 256, (480, 640, 3), np.uint8)


WORKS = (
    Work("ocr: pages of 12 lines", _ocr, _read, _page, 32),
    Work("segment: 8 prompts each", _segmentation, _decode, _noise, 4),
    Work("layout.detect", _layout, _each("layout.detect"), _page, 8),
    Work("grounding.coco", _coco, _each("grounding.coco"), _noise, 64),
)
