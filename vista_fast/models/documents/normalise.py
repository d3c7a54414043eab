"""What both networks take: pixels resized, in the order BGR, normalised."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from vista_fast._core import write_bgr

# Of ImageNet, whose first value is red's; both networks were trained with it on blue.
_MEAN = np.array([0.485, 0.456, 0.406])
_DEVIATION = np.array([0.229, 0.224, 0.225])


def network_planes(image: npt.NDArray[np.uint8], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The planes [3, height, width] of an image [H, W, 3] RGB at that (width, height)."""
    import cv2

    width, height = size
    resized: Any = cv2.resize(image, size)
    planes = np.empty((3, height, width), np.float32)
    write_bgr(resized, _normalised(), planes)
    return planes


@lru_cache
def _normalised() -> npt.NDArray[np.float32]:
    """[3, 256]: (value / 255 - mean) / deviation of every pixel value in each plane."""
    scaled = np.arange(256, dtype=np.float32) * np.float32(1 / 255)
    table: npt.NDArray[np.float32] = ((scaled - _MEAN[:, None]) / _DEVIATION[:, None]).astype(np.float32)
    return table
