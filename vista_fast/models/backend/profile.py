"""Profile: the shapes that a network will be given, for backends that compile it for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from vista_fast.errors import InvalidArgumentError

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ShapeRange:
    """The shapes of one input: the least and the greatest size of each dimension, and the shape to be fastest at."""

    least: Shape
    usual: Shape
    most: Shape

    def __post_init__(self) -> None:
        ordered = len(self.least) == len(self.usual) == len(self.most) and all(
            1 <= low <= usual <= high for low, usual, high in zip(self.least, self.usual, self.most, strict=True)
        )
        if not ordered:
            raise InvalidArgumentError(
                "a profile's shapes must have one rank and grow from least (1 or more) over usual to most, got "
                f"{list(self.least)}, {list(self.usual)}, {list(self.most)}"
            )

    def __str__(self) -> str:
        return " to ".join(str(list(shape)) for shape in (self.least, self.most))

    def holds(self, shape: Sequence[int]) -> bool:
        """Whether a shape lies within."""
        return len(shape) == len(self.least) and all(
            low <= size <= high for low, size, high in zip(self.least, shape, self.most, strict=True)
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """The shapes of a network's inputs that go together, as (name, range) sorted by name.

    Inputs of fixed shape may be left out.
    """

    ranges: tuple[tuple[str, ShapeRange], ...]

    @classmethod
    def of(cls, ranges: Mapping[str, tuple[Sequence[int], Sequence[int], Sequence[int]]]) -> Profile:
        """From the least, usual and greatest shape of each input.

        Raises:
            InvalidArgumentError: they do not grow in this order, or a size is below 1.
        """
        made = {name: ShapeRange(*(tuple(shape) for shape in shapes)) for name, shapes in ranges.items()}
        return cls(tuple(sorted(made.items())))

    @classmethod
    def covering(cls, calls: Iterable[Mapping[str, Sequence[int]]]) -> Profile:
        """The smallest profile that holds the input shapes of all these calls; its usual shapes are the commonest.

        Raises:
            InvalidArgumentError: there are no calls, or they differ in inputs or ranks.
        """
        seen = [{name: tuple(shape) for name, shape in call.items()} for call in calls]
        if len({tuple(sorted((name, len(shape)) for name, shape in call.items())) for call in seen}) != 1:
            raise InvalidArgumentError(
                f"a profile covers calls of the same inputs and ranks, got {len(seen)} calls with "
                f"{sorted({name for call in seen for name in call})}"
            )
        usual = Counter(tuple(sorted(call.items())) for call in seen).most_common(1)[0][0]
        return cls.of({name: _bounds([call[name] for call in seen], shape) for name, shape in usual})

    def holds(self, shapes: Mapping[str, Sequence[int]]) -> bool:
        """Whether a call with these input shapes may use it."""
        return all(name in shapes and given.holds(shapes[name]) for name, given in self.ranges)

    def __str__(self) -> str:
        return "; ".join(f"{name} {given}" for name, given in self.ranges)


def _bounds(shapes: Sequence[Shape], usual: Shape) -> tuple[Shape, Shape, Shape]:
    return tuple(map(min, *shapes, usual)), usual, tuple(map(max, *shapes, usual))
