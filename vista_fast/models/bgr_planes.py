"""Pixels as PaddlePaddle's networks take them: in planes, in the order BGR."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def write_bgr(pixels: npt.NDArray[np.uint8], values: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None:
    """Writes what stands for each sample of RGB ``pixels`` [H, W, 3] to the planes blue, green and red of ``out``
    [3, H, W], float32, whose rows may lie apart. ``values`` [3, 256] has the number of each sample, a row a plane."""
    import cv2

    for plane in range(3):
        samples: Any = cv2.extractChannel(pixels, 2 - plane)
        cv2.LUT(samples, values[plane], dst=out[plane])
