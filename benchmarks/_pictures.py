"""Photographs for the benchmarks: cuts of scikit-learn's two, enlarged to a phone's preview, with a camera's noise."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
from PIL import Image as PilImage

WIDTH, HEIGHT = 1280, 960

Pixels = npt.NDArray[np.uint8]
Box = tuple[int, int, int, int]


def photographs(count: int) -> list[Pixels]:
    """``count`` different arrays [960, 1280, 3]."""
    from sklearn.datasets import load_sample_images

    sources = [PilImage.fromarray(each) for each in load_sample_images().images]
    random = np.random.default_rng(7)
    drawn = []
    for index in range(count):
        source = sources[index % len(sources)]
        left, top = (int(random.integers(0, side // 4)) for side in source.size)
        cut = source.crop((left, top, left + source.width * 3 // 4, top + source.height * 3 // 4))
        enlarged = np.asarray(cut.resize((WIDTH, HEIGHT), PilImage.Resampling.BICUBIC)).astype(np.float32)
        noise = random.normal(0, 5, enlarged.shape).astype(np.float32)
        drawn.append(np.clip(enlarged + noise, 0, 255).astype(np.uint8))
    return drawn


def jpeg(pixels: Pixels, quality: int = 90, subsampling: str = "4:2:0") -> bytes:
    """The photograph as a JPEG file."""
    file = io.BytesIO()
    PilImage.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return file.getvalue()


def boxes(count: int, seed: int) -> list[Box]:
    """Regions (left, top, right, bottom) of 200 to 900 pixels by side, anywhere in a photograph."""
    random = np.random.default_rng(seed)
    regions = []
    for _ in range(count):
        width, height = (int(random.integers(200, 901)) for _ in range(2))
        left, top = int(random.integers(0, WIDTH - width + 1)), int(random.integers(0, HEIGHT - height + 1))
        regions.append((left, top, left + width, top + height))
    return regions
