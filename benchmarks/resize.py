"""Resizing decoded pixels on one core: six shapes and four filters, beside Pillow, OpenCV and torchvision.

Ours equals Pillow's bit for bit. OpenCV is a peer where it has a filter of the same quality: INTER_AREA beside box when
shrinking, INTER_LINEAR, INTER_CUBIC and INTER_LANCZOS4 when enlarging; its others alias when shrinking. torchvision
has bilinear and bicubic with antialiasing; it gets its fastest layout, channels last. Needs the extra bench.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from _limits import copy_bandwidth
from _measuring import Options, Peer, Row, in_turns, options, seconds
from _pictures import Pixels, photographs
from _profile import profiled
from _table import finish
from _torchvision import torchvision
from PIL import Image as PilImage

import vista_fast as vf

SHAPES = (  # width and height, before and after
    ((4000, 3000), (1280, 960)),
    ((1280, 960), (1024, 768)),
    ((1280, 960), (448, 448)),
    ((640, 480), (336, 336)),
    ((448, 448), (896, 896)),
    ((200, 150), (448, 336)),
)
PILLOW = {
    "box": PilImage.Resampling.BOX,
    "bilinear": PilImage.Resampling.BILINEAR,
    "bicubic": PilImage.Resampling.BICUBIC,
    "lanczos": PilImage.Resampling.LANCZOS,
}
ENLARGING = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}
SHRINKING = {"box": cv2.INTER_AREA}
COPYING = "reading the source and writing the result at the speed of a copy of as many bytes as the row has pixels"
BICUBIC = "bicubic, 1280 × 960 to 448 × 448"

Size = tuple[int, int]
Resize = Callable[[Any], object]


def torchvision_resize(module: object, size: Size, name: str) -> Resize | None:
    if module is None or name not in ("bilinear", "bicubic"):
        return None
    import torch
    from torchvision.transforms.v2 import InterpolationMode
    from torchvision.transforms.v2.functional import resize

    torch.set_num_threads(1)
    mode = InterpolationMode(name)
    height_first = [size[1], size[0]]
    return lambda planes: resize(planes, height_first, interpolation=mode, antialias=True)


def row(engine: vf.Engine, module: object, source: Pixels, shapes: tuple[Size, Size], name: str, given: Options) -> Row:
    before, size = shapes
    pictures = distinct(
        source, before, 1 if given.quick else min(before[0], max(4, 20_000_000 // (before[0] * before[1])))
    )
    images, pillows = [vf.Image.from_array(each) for each in pictures], [PilImage.fromarray(each) for each in pictures]
    calls = [{"image": image, "size": size, "filter": name} for image in images]
    assert np.array_equal(
        np.asarray(engine.call("image.resize", images[0], size=size, filter=name)),
        np.asarray(pillows[0].resize(size, PILLOW[name])),
    ), "ours differs from Pillow's"

    def milliseconds(resize: Resize, inputs: Sequence[Any]) -> Callable[[], float]:
        return lambda: 1e3 * seconds(lambda: [resize(each) for each in inputs]) / len(inputs)

    works = {
        "ours": lambda: 1e3 * seconds(lambda: engine.submit_many("image.resize", calls).result()) / len(calls),
        "Pillow": milliseconds(lambda each: each.resize(size, PILLOW[name]), pillows),
    }
    way = (SHRINKING if size[0] < before[0] else ENLARGING).get(name)
    if way is not None:
        works["OpenCV"] = milliseconds(lambda each: cv2.resize(each, size, interpolation=way), pictures)
    if (peer := torchvision_resize(module, size, name)) is not None:
        works["torchvision"] = milliseconds(peer, [channels_last(each) for each in pictures])
    figures = in_turns(works, given.repeats)
    ours = figures.pop("ours")
    wanted = {"Pillow": 3.0, "OpenCV": 1.0}
    peers = [Peer(peer, each, wanted.get(peer)) for peer, each in figures.items()]
    moved = 3 * (before[0] * before[1] + size[0] * size[1])
    return Row(
        f"{name}, {before[0]} × {before[1]} to {size[0]} × {size[1]}",
        "ms",
        "lower",
        ours,
        peers,
        bound_by="the products of pixels and weights in the two passes, the more the wider the filter",
        physical=1e3 * moved / copy_bandwidth(moved * len(pictures) // 2),
    )


def distinct(source: Pixels, size: Size, count: int) -> list[Pixels]:
    """Pictures of that size, no two the same, because the engine runs equal calls once."""
    picture = np.array(PilImage.fromarray(source).resize(size))
    return [np.roll(picture, index, axis=1) for index in range(count)]


def channels_last(pixels: Pixels) -> object:
    import torch

    return torch.from_numpy(pixels).permute(2, 0, 1)


def main() -> None:
    given = options(__doc__)
    cv2.setNumThreads(1)
    source = photographs(1)[0]
    module = torchvision()
    with vf.Engine(threads=1, cache_bytes=0) as engine:
        rows = [
            row(engine, module, source, shapes, name, given)
            for shapes in (SHAPES[-1:] if given.quick else SHAPES)
            for name in PILLOW
        ]
        images = [vf.Image.from_array(each) for each in distinct(source, (1280, 960), 8)]
        calls = [{"image": image, "size": (448, 448), "filter": "bicubic"} for image in images]
        profiles = profiled(given, BICUBIC, lambda: engine.submit_many("image.resize", calls).result())
    shares = sorted(row.physical / min(row.figures) for row in rows if row.physical is not None)
    reached = f"{COPYING}, of which ours reach {shares[0]:.0%} to {shares[-1]:.0%}"
    finish([replace(row, physical_is=reached) for row in rows], given, __file__, profiles)


if __name__ == "__main__":
    main()
