"""Prompt: what in an image is meant, by points on it and off it, and by a box around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vista_fast.errors import InvalidArgumentError

SIDE = 1024
"""Side of the network's square input, in pixels."""

_BOX_CORNERS = (2.0, 3.0)
"""The labels that the network has for the top left and the bottom right corner of a box."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One object, meant by points, a box, or both.

    Attributes:
        points: (x, y) in the image's pixels.
        labels: for each point 1 when it lies on the object, 0 when it lies on something else.
        box: (left, top, right, bottom) around the object in the image's pixels, or None.
    """

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    box: tuple[float, float, float, float] | None = None

    @classmethod
    def of(
        cls,
        size: tuple[int, int],
        points: Sequence[Sequence[float]] | None = None,
        labels: Sequence[int] | None = None,
        box: Sequence[float] | None = None,
    ) -> Prompt:
        """The prompt on an image of that (width, height). Without ``labels`` all points lie on the object.

        Raises:
            InvalidArgumentError: there are neither points nor a box, one lies outside of the image, the box is empty or
                reversed, or the labels are not one 0 or 1 for each point.
        """
        if not isinstance(points, Sequence | np.ndarray | None):
            raise InvalidArgumentError(f"points must be a list of [x, y], got {points!r}")
        given = tuple(_point(each, size) for each in (() if points is None else points))
        if not given and box is None:
            raise InvalidArgumentError("there is nothing to segment by: give points, a box, or both")
        return cls(given, _labels(labels, len(given)), None if box is None else _box(box, size))

    @property
    def length(self) -> int:
        """How many points the network gets for it; prompts of one length run together."""
        return len(self.points) + (0 if self.box is None else 2)

    def network_input(self, size: tuple[int, int]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Coordinates [length, 2] in the network's input and labels [length], for an image of that (width, height)."""
        corners = () if self.box is None else (self.box[:2], self.box[2:])
        coordinates = np.array([*corners, *self.points], np.float64).reshape(-1, 2) * SIDE / np.array(size)
        labels = [*(_BOX_CORNERS if corners else ()), *map(float, self.labels)]
        return coordinates.astype(np.float32), np.array(labels, np.float32)


def _point(values: Any, size: tuple[int, int]) -> tuple[float, float]:
    numbers = _numbers("a point", "[x, y]", values, 2)
    if not (0 <= numbers[0] <= size[0] and 0 <= numbers[1] <= size[1]):
        raise InvalidArgumentError(f"point {list(numbers)} lies outside of the image ({size[0]}x{size[1]} pixels)")
    return numbers[0], numbers[1]


def _box(values: Any, size: tuple[int, int]) -> tuple[float, float, float, float]:
    left, top, right, bottom = _numbers("the box", "[left, top, right, bottom]", values, 4)
    if not (0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]):
        raise InvalidArgumentError(
            f"the box must be [left, top, right, bottom] with left < right and top < bottom inside the image "
            f"({size[0]}x{size[1]} pixels), got {[left, top, right, bottom]}"
        )
    return left, top, right, bottom


def _numbers(what: str, form: str, values: Any, count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(value) for value in values)
    except OverflowError as error:
        raise InvalidArgumentError(f"{what} must be {form} in pixels, got a number that no float holds") from error
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"{what} must be {form} in pixels, got {values!r}") from error
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise InvalidArgumentError(f"{what} must be {form}, {count} finite numbers in pixels, got {values!r}")
    return numbers


def _labels(labels: Sequence[int] | None, points: int) -> tuple[int, ...]:
    if labels is None:
        return (1,) * points
    listed = list(labels) if isinstance(labels, Sequence | np.ndarray) else None
    if listed is None or len(listed) != points or any(label not in (0, 1) for label in listed):
        raise InvalidArgumentError(
            f"labels must be one 1 (on the object) or 0 (off it) for each of the {points} points, got {labels!r}"
        )
    return tuple(int(label) for label in listed)
