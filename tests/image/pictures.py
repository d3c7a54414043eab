"""Pictures for the image tests."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image as PilImage

Pixels = npt.NDArray[np.uint8]


def noise(height: int, width: int, seed: int) -> Pixels:
    """Every value at random: the hardest case for a filter's rounding and clipping."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def scene(height: int, width: int) -> Pixels:
    """Ramps and edges, as pictures have them."""
    y, x = np.mgrid[0:height, 0:width]
    planes = (x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x // 7 + y // 5) % 2 * 200)
    return np.stack(planes, axis=-1).astype(np.uint8)


def encoded(image: PilImage.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


PILLOW_13 = int(PIL.__version__.split(".")[0]) >= 13


def same_pass_order(height: int, width: int, size: tuple[int, int]) -> bool:
    """Pillow 13 resizes columns before rows when rather many rows are lost; earlier Pillows never do."""
    lost = height - size[1]
    return PILLOW_13 or not (lost > 0 and lost > 2 * (width - size[0]))
