"""Arguments of image Ops, read by the rules of the native ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from vista_fast.errors import InvalidArgumentError

Box: TypeAlias = tuple[int, int, int, int]
"""(left, top, right, bottom) in whole pixels; right and bottom outside."""

_LONGEST_SIDE = 1 << 15


def resolve_box(box: Sequence[float] | None, width: int, height: int) -> Box:
    """The whole pixels of ``box`` in an image of ``width`` x ``height``: edges round outward, then clamp to the image;
    None is the whole image.

    Raises InvalidArgumentError when it is not four finite numbers, is reversed, or is empty after that.
    """
    if box is None:
        return (0, 0, width, height)
    try:
        left, top, right, bottom = (float(edge) for edge in box)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgumentError(f"box is {box!r}; give (left, top, right, bottom) in pixels") from error
    where = f"box {(left, top, right, bottom)} of an image of {width} x {height} pixels"
    if not all(map(math.isfinite, (left, top, right, bottom))):
        raise InvalidArgumentError(f"{where} has a value that is not finite; give four pixel coordinates")
    if left >= right or top >= bottom:
        raise InvalidArgumentError(
            f"{where} is empty or reversed; give (left, top, right, bottom) with left < right and top < bottom"
        )
    whole = (
        min(max(math.floor(left), 0), width),
        min(max(math.floor(top), 0), height),
        min(max(math.ceil(right), 0), width),
        min(max(math.ceil(bottom), 0), height),
    )
    if whole[0] >= whole[2] or whole[1] >= whole[3]:
        raise InvalidArgumentError(f"{where} lies outside the image; give a box that overlaps it")
    return whole


def resolve_size(size: Sequence[int] | None, box: Box) -> tuple[int, int]:
    """``size`` = (width, height), by default that of the box. Raises InvalidArgumentError."""
    if size is None:
        return box[2] - box[0], box[3] - box[1]
    try:
        width, height = size
        sides = int(width), int(height)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgumentError(f"size is {size!r}; give (width, height) in pixels") from error
    if min(sides) < 1 or max(sides) > _LONGEST_SIDE or sides != (width, height):
        raise InvalidArgumentError(f"size is {size!r}; give whole numbers from 1 to {_LONGEST_SIDE}")
    return sides
