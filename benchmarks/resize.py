"""What zooming costs: image.zoom through an engine beside Pillow and OpenCV on the same decoded pixels.

One at a time: one thread each, distinct regions, no cache. All cores: 256 regions at once, by submit_many on one native
worker per core, beside a thread pool over Pillow and one over OpenCV (both release the GIL; OpenCV's own threads are
off, which is its best here). Our result equals Pillow's bit for bit. OpenCV computes something else: its bicubic and
bilinear look at 4 and 2 pixels however much the region shrinks, so that it aliases.
Needs the extras tasks and opencv-python-headless. Run it as ``python benchmarks/resize.py``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage

import vista_fast as vf

RUNS, CALLS = 7, 16
CORES = len(os.sched_getaffinity(0))
OUT = (448, 448)
PILLOW = {
    "bilinear": PilImage.Resampling.BILINEAR,
    "bicubic": PilImage.Resampling.BICUBIC,
    "lanczos": PilImage.Resampling.LANCZOS,
}
OPENCV = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC, "lanczos": cv2.INTER_LANCZOS4}

Box = tuple[int, int, int, int]
Zoom = Callable[[Box], object]


def picture() -> npt.NDArray[np.uint8]:
    """960 × 1280 × 3: smooth, with edges and a little noise, as a photograph has."""
    y, x = np.mgrid[0:960, 0:1280]
    planes = np.stack([(x + y) // 9, y // 4, (x // 40 + y // 30) % 2 * 160], axis=-1)
    return np.clip(planes + np.random.default_rng(0).normal(0, 8, planes.shape), 0, 255).astype(np.uint8)


def boxes(side: int, count: int) -> list[Box]:
    """Regions of side × (3/4 side), no two the same."""
    random = np.random.default_rng(side)
    corners = {
        (int(random.integers(0, 1281 - side)), int(random.integers(0, 961 - side * 3 // 4))) for _ in range(4 * count)
    }
    corners |= {(0, 0)} if side == 1280 else set()
    return [(left, top, left + side, top + side * 3 // 4) for left, top in sorted(corners)][:count]


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def alternate(works: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Every peer in turn, RUNS times over, so that a change of the machine's speed meets all of them."""
    measured: dict[str, list[float]] = {name: [] for name in works}
    for run in range(RUNS + 1):
        for name, work in works.items():
            seconds = seconds_of(work)
            if run > 0:  # the first warms caches
                measured[name].append(seconds)
    return measured


def report(title: str, measured: dict[str, list[float]], calls: int) -> None:
    mine = measured["vista_fast"]
    cells = []
    for name, runs in measured.items():
        per_call = sorted(1e3 * seconds / calls for seconds in runs)
        cell = f"{name} {statistics.median(per_call):.3f} ms ({per_call[0]:.3f} to {per_call[-1]:.3f})"
        if name != "vista_fast":
            ratios = sorted(theirs / ours for ours, theirs in zip(mine, runs, strict=True))
            cell += f" = {statistics.median(ratios):.1f}x ({ratios[0]:.1f} to {ratios[-1]:.1f})"
        cells.append(cell)
    print(f"  {title:<28}" + "   ".join(cells))


def one_at_a_time(pixels: npt.NDArray[np.uint8]) -> None:
    image, pillow = vf.Image.from_array(pixels), PilImage.fromarray(pixels)
    cv2.setNumThreads(1)
    print(f"One at a time, one thread, to {OUT[0]} x {OUT[1]}: per call, median of {RUNS}; peer / vista_fast")
    with vf.Engine(threads=1, cache_bytes=0) as engine:
        for name in PILLOW:
            for side in (200, 400, 1200):
                regions = boxes(side, CALLS)

                def ours(box: Box, name: str = name) -> object:
                    return engine.call("image.zoom", image, box=box, size=OUT, filter=name)

                def theirs(box: Box, name: str = name) -> object:
                    return pillow.crop(box).resize(OUT, PILLOW[name])

                def opencv(box: Box, name: str = name) -> object:
                    left, top, right, bottom = box
                    return cv2.resize(pixels[top:bottom, left:right], OUT, interpolation=OPENCV[name])

                assert np.array_equal(np.asarray(ours(regions[0])), np.asarray(theirs(regions[0])))
                works = {
                    peer: lambda zoom=zoom, regions=regions: [zoom(box) for box in regions]
                    for peer, zoom in (("vista_fast", ours), ("Pillow", theirs), ("OpenCV", opencv))
                }
                report(f"{name} from {side} x {side * 3 // 4}", alternate(works), len(regions))


def all_cores(pixels: npt.NDArray[np.uint8]) -> None:
    image, pillow = vf.Image.from_array(pixels), PilImage.fromarray(pixels)
    regions = boxes(400, 256)
    calls = [{"image": image, "box": box, "size": OUT, "filter": "bicubic"} for box in regions]

    def opencv(box: Box) -> object:
        left, top, right, bottom = box
        return cv2.resize(pixels[top:bottom, left:right], OUT, interpolation=cv2.INTER_CUBIC)

    print(f"\n{len(regions)} at once on {CORES} cores, bicubic from 400 x 300")
    with vf.Engine(cache_bytes=0) as engine, ThreadPoolExecutor(CORES) as pool:
        works: dict[str, Callable[[], object]] = {
            "vista_fast": lambda: engine.submit_many("image.zoom", calls).result(),
            "Pillow": lambda: list(
                pool.map(lambda box: pillow.crop(box).resize(OUT, PilImage.Resampling.BICUBIC), regions)
            ),
            "OpenCV": lambda: list(pool.map(opencv, regions)),
        }
        report("bicubic", alternate(works), len(regions))


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    source = picture()
    one_at_a_time(source)
    all_cores(source)
