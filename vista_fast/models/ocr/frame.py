"""The Frame: the pixels that text reading really looks at, and the way between them and the image's own pixels.

Very large images are shrunk, very small ones enlarged, and very wide ones padded above and below, because detection
finds nothing in a strip. All of it depends on the image's size alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vista_fast.models.ocr.config import OcrConfig

GRID = 32
"""The detection network halves its input five times, so sides are multiples of this."""


def snap(length: float) -> int:
    """The multiple of GRID nearest to a whole number of pixels, at least one."""
    return max(round(int(length) / GRID), 1) * GRID


@dataclass(frozen=True, slots=True)
class Frame:
    """Sizes in pixels: the image, the resized image inside the frame, and the black rows above (and below) it."""

    image_size: tuple[int, int]
    content_size: tuple[int, int]
    padding: int

    @classmethod
    def of(cls, width: int, height: int, config: OcrConfig) -> Frame:
        """The frame of an image of that size."""
        content_width, content_height = width, height
        if max(width, height) > config.max_side_len:
            ratio = config.max_side_len / max(width, height)
            content_width, content_height = snap(width * ratio), snap(height * ratio)
        if min(content_width, content_height) < config.min_side_len:
            ratio = config.min_side_len / min(content_width, content_height)
            # A line of pixels would grow to many thousands: its longer side stops at the limit, its shape gives way.
            content_width = snap(min(content_width * ratio, config.max_side_len))
            content_height = snap(min(content_height * ratio, config.max_side_len))
        padding = 0
        if content_height <= config.min_side_len or content_width / content_height > config.max_aspect:
            padded = 2 * max(int(content_width / config.max_aspect), config.min_side_len)
            padding = abs(padded - content_height) // 2
        return cls((width, height), (content_width, content_height), padding)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frame."""
        return self.content_size[0], self.content_size[1] + 2 * self.padding

    def render(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The frame's pixels [H, W, 3] from the image's."""
        import cv2

        content: Any = pixels
        if self.content_size != self.image_size:
            content = cv2.resize(content, self.content_size)
        if self.padding:
            content = cv2.copyMakeBorder(content, self.padding, self.padding, 0, 0, cv2.BORDER_CONSTANT)
        framed: npt.NDArray[np.uint8] = content
        return framed

    def to_image(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Points [..., 2] of the frame in the image's pixels; a point in the padding lies outside the image."""
        moved: npt.NDArray[np.float32] = (points - self._origin) * self._scale
        return moved

    def from_image(self, points: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The inverse of ``to_image``, exact on the whole pixels that detection gives."""
        framed: npt.NDArray[np.float32] = points / self._scale + self._origin
        nearest = np.rint(framed)
        snapped: npt.NDArray[np.float32] = np.where(np.abs(framed - nearest) < 1e-2, nearest, framed).astype(np.float32)
        return snapped

    def holds(self, quad: npt.NDArray[np.floating[Any]]) -> bool:
        """Whether all points [..., 2] of the image lie within its size from its edges, or within the frame, which may
        reach farther: what detection gives does."""
        size = np.array(self.image_size, np.float32)
        first = np.minimum(self.to_image(np.zeros(2, np.float32)), -size)
        last = np.maximum(self.to_image(np.array(self.size, np.float32)), 2 * size)
        return bool(((first <= quad) & (quad <= last)).all())

    @property
    def _origin(self) -> npt.NDArray[np.float32]:
        return np.array([0, self.padding], np.float32)

    @property
    def _scale(self) -> npt.NDArray[np.float32]:
        across, down = (image / content for image, content in zip(self.image_size, self.content_size, strict=True))
        return np.array([across, down], np.float32)
