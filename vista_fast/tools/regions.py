"""The region of an image that a call names: pixels, or fractions of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from vista_fast.tools.arguments import shown
from vista_fast.tools.tool import ToolFailure

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in whole pixels inside an image, right and bottom outside, never empty."""

BOX_SCHEMA: Final[dict[str, Any]] = {
    "type": "array",
    "items": {"type": "number"},
    "minItems": 4,
    "maxItems": 4,
    "description": "[left, top, right, bottom] in pixels, or as fractions of the image when all four are at most 1.",
}

TARGET_SCHEMA: Final[dict[str, Any]] = {
    "type": "integer",
    "minimum": 1,
    "description": "Number of the image to work on, counted from 1. Default: the latest image.",
}


def resolve_box(name: str, values: Sequence[float], width: int, height: int) -> Box:
    """The box in whole pixels of an image of that size: rounded outward, then clamped to the image.

    ``values`` are four finite numbers, all at most 1 when they are fractions of the image. ``name`` is the argument's,
    for the message.

    Raises:
        ToolFailure: E3 when the box is reversed, empty, or outside of the image.
    """
    left, top, right, bottom = values
    if left >= right or top >= bottom:
        raise ToolFailure(
            "E3",
            f"{name} must be [left, top, right, bottom] with left < right and top < bottom, got {shown(list(values))}.",
        )
    if max(values) <= 1:
        left, top, right, bottom = left * width, top * height, right * width, bottom * height
    box = (
        math.floor(max(left, 0)),
        math.floor(max(top, 0)),
        math.ceil(min(right, width)),
        math.ceil(min(bottom, height)),
    )
    if box[0] >= box[2] or box[1] >= box[3]:
        raise ToolFailure("E3", f"{name} {shown(list(values))} lies outside of the image ({width}x{height} pixels).")
    return box
