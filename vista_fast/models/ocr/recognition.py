"""What a text line says: crop its quad, recognise it, decode the characters (CTC, Graves et al. 2006)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vista_fast._core import write_bgr
from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import Classifier

LINE_HEIGHT = 48
"""Height of the network's input in pixels."""
_MIN_WIDTH = 320
"""Lines are padded with zeros to at least this width, in pixels."""
_UPRIGHT = 1.5
"""A crop at least this many times as high as wide is text written along the height: it is turned by 90°."""
_BLANK = 0
"""The class that stands for no character."""


@dataclass(frozen=True, slots=True)
class Line:
    """The text of one line, and the mean probability of its characters in [0, 1]."""

    text: str
    score: float


def crop_size(quad: npt.NDArray[np.float32]) -> tuple[int, int]:
    """Width and height of the upright crop of a quad [4, 2], before any turn."""
    top, right, bottom, left = np.linalg.norm(quad - np.roll(quad, -1, axis=0), axis=1)
    return max(int(max(top, bottom)), 1), max(int(max(left, right)), 1)


def padded_width(quad: npt.NDArray[np.float32]) -> int:
    """Width of the network's input for the line in a quad: its width class.

    Lines that are up to 320 pixels wide at the network's height are one class, padded to that; wider ones are one per
    width. The classes' tolerance is none: the padding takes part in recognition, so that a line padded further, to its
    neighbour's width, could read differently than alone.
    """
    width, height = crop_size(quad)
    if height / width >= _UPRIGHT:
        width, height = height, width
    return _padded(height, width)


def crop(frame: npt.NDArray[np.uint8], quad: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """The pixels of a quad of the frame, made upright, text along the width."""
    import cv2

    width, height = crop_size(quad)
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    transform = cv2.getPerspectiveTransform(quad.astype(np.float32), target)
    line: Any = cv2.warpPerspective(
        frame, transform, (width, height), borderMode=cv2.BORDER_REPLICATE, flags=cv2.INTER_CUBIC
    )
    upright: npt.NDArray[np.uint8] = np.rot90(line) if height / width >= _UPRIGHT else line
    return upright


def recognize(lines: Sequence[npt.NDArray[np.uint8]], model: Classifier, charset: Sequence[str]) -> list[Line]:
    """Read crops [H, W, 3] RGB that share one padded width."""
    classes, confidences = model.run(_network_input(lines), ignored=_BLANK)
    return [_decode(*line, charset) for line in zip(classes, confidences, strict=True)]


def charset(model: Classifier, file: Path | None = None) -> tuple[str, ...]:
    """The characters of the network's classes: the blank, those of a text file or of its metadata, the space.

    Raises:
        InvalidArgumentError: there are none, or not as many as classes.
    """
    if file is not None:
        found = _characters(file)
    elif "character" in model.metadata:
        found = model.metadata["character"].splitlines()
    else:
        raise InvalidArgumentError(
            "the recognition network carries no charset (metadata 'character'); give a file of them (characters)"
        )
    if model.classes not in (None, len(found) + 2):
        raise InvalidArgumentError(
            f"there are {len(found)} characters for a recognition network of {model.classes} classes, which are a "
            "blank, the characters and a space; give the characters of that network"
        )
    return ("", *found, " ")


def _characters(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise InvalidArgumentError(f"{file} is no text in UTF-8 ({error}); give a file of characters") from error


def _network_input(lines: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.float32]:
    import cv2

    padded = _padded(*lines[0].shape[:2])
    batch = np.zeros((len(lines), 3, LINE_HEIGHT, padded), np.float32)
    for line, planes in zip(lines, batch, strict=True):
        height, width = line.shape[:2]
        content = min(math.ceil(LINE_HEIGHT * width / height), padded)
        resized: Any = cv2.resize(np.ascontiguousarray(line), (content, LINE_HEIGHT))
        write_bgr(resized, _normalised(), planes[:, :, :content])
    return batch


def _padded(height: int, width: int) -> int:
    return int(LINE_HEIGHT * max(_MIN_WIDTH / LINE_HEIGHT, width / height))


@lru_cache
def _normalised() -> npt.NDArray[np.float32]:
    """[3, 256]: (value / 255 - 0.5) / 0.5 of every pixel value, in float32 throughout."""
    half = np.float32(0.5)
    table: npt.NDArray[np.float32] = (np.arange(256, dtype=np.float32) / np.float32(255) - half) / half
    return np.tile(table, (3, 1))


def _decode(classes: npt.NDArray[np.intp], confidences: npt.NDArray[np.float32], charset: Sequence[str]) -> Line:
    """Greedy CTC over the best class of each step: drop repeats, then blanks."""
    kept = (classes != _BLANK) & (np.diff(classes, prepend=-1) != 0)
    text = "".join(charset[index] for index in classes[kept])
    score = float(np.mean([round(float(value), 5) for value in confidences[kept]])) if text else 0.0
    return Line(text, round(score, 5))
