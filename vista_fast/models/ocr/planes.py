"""Pixels as PP-OCR's networks take them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def lay_planes(pixels: npt.NDArray[np.uint8], values: npt.NDArray[np.float32], out: npt.NDArray[np.float32]) -> None:
    """Writes the value [256] of each sample of RGB ``pixels`` [H, W, 3] to ``out`` [3, H, W], the planes in the order
    blue, green, red, in which the networks were trained. Rows of ``out`` may lie apart."""
    import cv2

    for plane in range(3):
        samples: Any = cv2.extractChannel(pixels, 2 - plane)
        cv2.LUT(samples, values, dst=out[plane])
