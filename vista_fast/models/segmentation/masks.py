"""Masks at the image's own size: from logits to pixels, to numbers, and to a picture of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

COLOUR: Final = (30, 144, 255)
"""RGB of what an overlay marks."""
_OPACITY = 0.5
_TINTED = (np.arange(256)[:, None] * (1 - _OPACITY) + np.array(COLOUR) * _OPACITY).round().astype(np.uint8)[None]
"""uint8 [1, 256, 3]: what a value of each channel becomes under the mark."""


@dataclass(frozen=True, slots=True)
class MaskFacts:
    """A mask in numbers.

    Attributes:
        pixel_count: pixels of the image that it covers.
        coverage_percent: the same in percent of the image.
        bbox: (left, top, right, bottom) around it in pixels, right and bottom outside; None when it is empty.
        centroid: (x, y), the mean of its pixels' places; None when it is empty.
    """

    pixel_count: int
    coverage_percent: float
    bbox: tuple[int, int, int, int] | None
    centroid: tuple[float, float] | None


def mask_at(logits: npt.NDArray[np.floating[Any]], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """The mask [height, width] on an image of that (width, height), from logits [256, 256]: bilinear, above 0."""
    import cv2

    resized: Any = cv2.resize(np.ascontiguousarray(logits, np.float32), size, interpolation=cv2.INTER_LINEAR)
    mask: npt.NDArray[np.bool_] = resized > 0
    return mask


def facts_of(mask: npt.NDArray[np.bool_]) -> MaskFacts:
    """The numbers of a mask [height, width]."""
    by_column, by_row = mask.sum(axis=0), mask.sum(axis=1)
    count = int(by_row.sum())
    if count == 0:
        return MaskFacts(0, 0.0, None, None)
    columns, rows = np.flatnonzero(by_column), np.flatnonzero(by_row)
    return MaskFacts(
        pixel_count=count,
        coverage_percent=100 * count / mask.size,
        bbox=(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1),
        centroid=(
            float(by_column @ np.arange(len(by_column)) / count),
            float(by_row @ np.arange(len(by_row)) / count),
        ),
    )


def overlay(image: npt.NDArray[np.uint8], mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """The image [H, W, 3] RGB with the mask's pixels tinted, which leaves what is under them to be seen."""
    import cv2

    marked: Any = cv2.copyTo(cv2.LUT(image, _TINTED), mask.view(np.uint8), image.copy())
    result: npt.NDArray[np.uint8] = marked
    return result
