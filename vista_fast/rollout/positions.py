"""Multimodal rotary positions (Qwen2-VL, arXiv 2409.12191, section 2.1): time, height and width of every id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vista_fast.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class Span:
    """Ids appended to a context: ``ids`` int64 [n], ``positions`` int64 [3, n], ``next`` the position that follows.

    ``is_image`` bool [n] marks the placeholders; ``images`` counts the images they stand for.
    """

    ids: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    is_image: npt.NDArray[np.bool_]
    images: int
    next: int


def lay_out(
    ids: Sequence[int] | npt.NDArray[np.int64],
    grids: Sequence[tuple[int, int, int]],
    image_id: int,
    merge_size: int,
    start: int = 0,
) -> Span:
    """Positions of ``ids`` after a context whose next position is ``start``; ``grids`` are of the images within.

    An id of text advances all three axes by one. An image of (t, h, w) patches lies at (time, row, column) of its
    merged grid, counted from the position reached, and advances it by the larger of its rows and columns.

    Raises:
        InvalidArgumentError: the placeholders do not match the grids.
    """
    ids = np.asarray(ids, dtype=np.int64)
    is_image = ids == image_id
    positions = np.empty((3, len(ids)), dtype=np.int64)
    at, position = 0, start
    for t, h, w in grids:
        count = t * h * w // merge_size**2
        first = at + int(np.argmax(is_image[at:])) if is_image[at:].any() else len(ids)
        if not is_image[first : first + count].all() or first + count > len(ids):
            raise InvalidArgumentError(
                f"an image of grid {(t, h, w)} needs {count} placeholder ids {image_id} in a row, but the context has "
                f"{int(is_image[first : first + count].sum())} at index {first}; build the ids with ChatTemplate"
            )
        text = first - at
        positions[:, at:first] = np.arange(position, position + text)
        position += text
        rows, columns = h // merge_size, w // merge_size
        positions[:, first : first + count] = np.indices((t, rows, columns)).reshape(3, -1) + position
        position += max(rows, columns)
        at = first + count
    if is_image[at:].any():
        raise InvalidArgumentError(
            f"the context has {int(is_image[at:].sum())} placeholder ids {image_id} beyond its {len(grids)} images; "
            "pass every image, in order"
        )
    positions[:, at:] = np.arange(position, position + len(ids) - at)
    return Span(ids, positions, is_image, len(grids), position + len(ids) - at)
