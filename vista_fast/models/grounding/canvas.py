"""The network's input: an image resized, and laid at the top left of a canvas, of its own or of one of five sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vista_fast._core import lay_planes

_GRID = 32


@dataclass(frozen=True, slots=True)
class Sizing:
    """How images are resized and normalised, in pixels and in units of 255.

    Attributes:
        shortest: shorter side of a resized image, unless its longer side would pass ``longest``.
        longest: longest side of a resized image.
        mean: of each channel.
        std: of each channel.
        padding: whether canvases have one of five sizes; else each has that of its image.
    """

    shortest: int
    longest: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    padding: bool = True

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of an image of that size once it is resized."""
        small, large = min(height, width), max(height, width)
        exact = min(float(self.shortest), self.longest * small / large)
        side = max(round(exact), 1)
        if small == side and large <= self.longest:
            return height, width
        other = max(int(exact * large / small), 1)
        return (side, other) if height <= width else (other, side)

    def canvas(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the canvas of an image of that size.

        With padding there are five, because a network is exported for each: a square, and two lengths of landscape and
        portrait.
        """
        high, wide = self.resized(height, width)
        if not self.padding:
            return high, wide
        narrow = _up(self.shortest)
        long = next(side for side in self._lengths() if side >= max(high, wide))
        return (narrow, long) if high <= wide else (long, narrow)

    def _lengths(self) -> Sequence[int]:
        return _up(self.shortest), _up((self.shortest + self.longest) / 2), _up(max(self.longest, self.shortest))

    def lay(self, pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float32], tuple[int, int]]:
        """The canvas [3, H, W] of an image [height, width, 3], zero beside it, and the height and width it covers."""
        high, wide = self.resized(*pixels.shape[:2])
        canvas = np.zeros((3, *self.canvas(*pixels.shape[:2])), np.float32)
        lay_planes(pixels, (wide, high), mean=self.mean, std=self.std, canvas=canvas)
        return canvas, (high, wide)


def _up(side: float) -> int:
    return int(-(-side // _GRID) * _GRID)
