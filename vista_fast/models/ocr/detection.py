"""Where text is: PP-OCR's detection, from frame pixels to quads.

The network gives a probability map of shrunk text lines. Post-processing follows Differentiable Binarization
(arXiv 1911.08947): threshold, contour, minimum-area rectangle, mean probability, growing by area × ratio / perimeter.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from vista_fast.models.backend import Model, run_single
from vista_fast.models.bgr_planes import write_bgr
from vista_fast.models.ocr.config import OcrConfig
from vista_fast.models.ocr.frame import snap

Quads = npt.NDArray[np.float32]
"""[n, 4, 2]: corners from the top left, clockwise, as (x, y) in pixels."""

_SAME_LINE = 10
"""Boxes whose tops follow each other by less than this many pixels are on one line."""
_MIN_RECT, _MIN_GROWN, _MIN_QUAD = 3, 5, 3
"""Shorter sides, in pixels, below which a box is noise: before growing, after it, and in the frame."""
_MAX_STRETCH = 8
"""The longer side of the network's input is at most this many times the limit, which bounds memory on thin images."""


def input_size(width: int, height: int, config: OcrConfig) -> tuple[int, int]:
    """Width and height of the network's input for a frame of that size."""
    ratio = 1.0
    if config.limit_type == "max" and max(width, height) > config.limit_side_len:
        ratio = config.limit_side_len / max(width, height)
    elif config.limit_type == "min" and min(width, height) < config.limit_side_len:
        ratio = config.limit_side_len / min(width, height)
        longest = max(_MAX_STRETCH * config.limit_side_len, max(width, height))
        ratio = min(ratio, longest / max(width, height))
    return snap(width * ratio), snap(height * ratio)


def detect(
    frames: Sequence[npt.NDArray[np.uint8]], model: Model, config: OcrConfig, *, at_once: int | None = None
) -> list[tuple[Quads, npt.NDArray[np.float32]]]:
    """Find the text lines of frames [H, W, 3] RGB that share one network input size.

    ``at_once`` is how many frames one run of the network takes; None takes them all.

    Returns for each frame its quads in reading order, in the frame's pixels, and their scores [n] in [0, 1].
    """
    size = input_size(frames[0].shape[1], frames[0].shape[0], config)
    found = []
    for first in range(0, len(frames), at_once or len(frames)):
        some = frames[first : first + (at_once or len(frames))]
        maps = run_single(model, _network_input(some, size))
        for probability, frame in zip(maps[:, 0], some, strict=True):
            found.append(_quads(probability, (frame.shape[1], frame.shape[0]), config))
    return found


def _network_input(frames: Sequence[npt.NDArray[np.uint8]], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    import cv2

    width, height = size
    batch = np.empty((len(frames), 3, height, width), np.float32)
    for frame, planes in zip(frames, batch, strict=True):
        resized: Any = cv2.resize(frame, size)
        write_bgr(resized, _normalised(), planes)
    return batch


@lru_cache
def _normalised() -> npt.NDArray[np.float32]:
    """[3, 256]: (value / 255 - 0.5) / 0.5 of every pixel value, rounded to float32 where RapidOCR rounds."""
    scaled = np.arange(256, dtype=np.float32) * np.float32(1 / 255.0)
    table: npt.NDArray[np.float32] = ((scaled.astype(np.float64) - 0.5) / 0.5).astype(np.float32)
    return np.tile(table, (3, 1))


def _quads(
    probability: npt.NDArray[np.float32], frame_size: tuple[int, int], config: OcrConfig
) -> tuple[Quads, npt.NDArray[np.float32]]:
    import cv2

    text = cv2.dilate((probability > config.pixel_threshold).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(text, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    kept: list[tuple[npt.NDArray[np.float32], float]] = []
    for first in range(0, len(contours), config.max_candidates):
        some = contours[first : first + config.max_candidates]
        found = [_quad(contour, probability, frame_size, config) for contour in some]
        lines = [line for line in found if line is not None]
        kept += lines
        if 2 * len(lines) < len(some):
            break
    if not kept:
        return np.zeros((0, 4, 2), np.float32), np.zeros(0, np.float32)
    quads = np.stack([quad for quad, _ in kept])
    scores = np.array([score for _, score in kept], np.float32)
    order = _reading_order(quads)
    return quads[order], scores[order]


def _quad(
    contour: Any, probability: npt.NDArray[np.float32], frame_size: tuple[int, int], config: OcrConfig
) -> tuple[npt.NDArray[np.float32], float] | None:
    """The quad and score of one contour, or None for what is no text line."""
    rect = _min_area_rect(contour, _MIN_RECT)
    if rect is None:
        return None
    score = _mean_inside(probability, rect)
    if score < config.box_threshold:
        return None
    grown = _min_area_rect(_grow(rect, config.unclip_ratio), _MIN_GROWN)
    if grown is None:
        return None
    map_size = np.array(probability.shape[::-1])
    limit = np.array(frame_size)
    scaled = np.clip(np.round(grown / map_size * limit), 0, limit).astype(np.int32)
    quad = np.clip(_clockwise(scaled), 0, limit - 1).astype(np.float32)
    if min(int(np.linalg.norm(quad[0] - quad[1])), int(np.linalg.norm(quad[0] - quad[3]))) <= _MIN_QUAD:
        return None
    return quad, score


def _min_area_rect(points: Any, shortest: float) -> npt.NDArray[np.float32] | None:
    """The corners of the smallest rotated rectangle around the points, clockwise, unless one side is shorter."""
    import cv2

    rect = cv2.minAreaRect(points)
    # Most contours are specks.
    return None if min(rect[1]) < shortest else _clockwise(cv2.boxPoints(rect))


def _clockwise(points: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Top left, top right, bottom right, bottom left: the two leftmost points by height, then the two rightmost."""
    by_x = points[np.argsort(points[:, 0], kind="stable")]
    top_left, bottom_left = by_x[:2][np.argsort(by_x[:2, 1], kind="stable")]
    top_right, bottom_right = by_x[2:][np.argsort(by_x[2:, 1], kind="stable")]
    return np.stack([top_left, top_right, bottom_right, bottom_left])


def _mean_inside(probability: npt.NDArray[np.float32], rect: npt.NDArray[np.float32]) -> float:
    """The mean probability over the pixels of a quad."""
    import cv2

    limit = np.array(probability.shape[::-1]) - 1
    low = np.clip(np.floor(rect.min(axis=0)).astype(np.int32), 0, limit)
    high = np.clip(np.ceil(rect.max(axis=0)).astype(np.int32), 0, limit)
    mask = np.zeros((high[1] - low[1] + 1, high[0] - low[0] + 1), np.uint8)
    cv2.fillPoly(mask, (rect - low.astype(np.float32)).astype(np.int32)[None], 1)
    return float(cv2.mean(probability[low[1] : high[1] + 1, low[0] : high[0] + 1], mask)[0])


def _grow(rect: npt.NDArray[np.float32], ratio: float) -> npt.NDArray[np.int32]:
    """The rectangle offset outwards with round corners, as points [n, 1, 2]."""
    import pyclipper

    edges = np.roll(rect, -1, axis=0).astype(np.float64) - rect
    cross = np.cross(np.pad(edges, ((0, 0), (0, 1))), np.pad(np.roll(edges, -1, axis=0), ((0, 0), (0, 1))))[:, 2]
    area = float(np.abs(cross).mean())
    distance = area * ratio / float(np.linalg.norm(edges, axis=1).sum())
    offset = pyclipper.PyclipperOffset()
    offset.AddPath(rect, pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
    return np.array([point for path in offset.Execute(distance) for point in path], np.int32).reshape(-1, 1, 2)


def _reading_order(quads: Quads) -> npt.NDArray[np.intp]:
    """Lines from top to bottom, and within a line from left to right."""
    tops = quads[:, 0, 1]
    by_top = np.argsort(tops, kind="stable")
    line = np.cumsum(np.diff(tops[by_top], prepend=tops[by_top[0]]) >= _SAME_LINE)
    return by_top[np.lexsort((quads[by_top, 0, 0], line))]
