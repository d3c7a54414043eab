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

from vista_fast._core import write_bgr
from vista_fast.models.backend import Model, run_single
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
    kept = [(np.zeros((0, 4, 2), np.float32), np.zeros(0, np.float32))]
    for first in range(0, len(contours), config.max_candidates):
        some = contours[first : first + config.max_candidates]
        kept.append(_lines(some, probability, frame_size, config))
        if 2 * len(kept[-1][1]) < len(some):
            break
    quads, scores = (np.concatenate(parts) for parts in zip(*kept, strict=True))
    order = _reading_order(quads)
    return quads[order], scores[order]


def _lines(
    contours: Sequence[Any], probability: npt.NDArray[np.float32], frame_size: tuple[int, int], config: OcrConfig
) -> tuple[Quads, npt.NDArray[np.float32]]:
    """The quads and scores of those contours that are text lines."""
    rects, _ = _min_area_rects(contours, _MIN_RECT)
    scores = np.array([_mean_inside(probability, rect) for rect in rects], np.float64)
    sure = scores >= config.box_threshold
    rects, scores = rects[sure], scores[sure]
    grown, wide = _min_area_rects(list(map(_grown, rects, _distances(rects, config.unclip_ratio))), _MIN_GROWN)
    map_size, limit = np.array(probability.shape[::-1]), np.array(frame_size)
    scaled = np.clip(np.round(grown / map_size * limit), 0, limit).astype(np.int32)
    quads = np.clip(_clockwise(scaled), 0, limit - 1).astype(np.float32)
    sides = np.linalg.norm(quads[:, :1] - quads[:, [1, 3]], axis=2).astype(np.int32)
    large = sides.min(axis=1, initial=_MIN_QUAD + 1) > _MIN_QUAD
    return quads[large], scores[wide][large].astype(np.float32)


def _min_area_rects(shapes: Sequence[Any], shortest: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """The corners [n, 4, 2] of the smallest rotated rectangles around shapes, clockwise, without those of a shorter
    side, and which shapes they are of."""
    import cv2

    rects = [cv2.minAreaRect(points) for points in shapes]
    # Most contours are specks.
    kept = [index for index, rect in enumerate(rects) if min(rect[1]) >= shortest]
    corners = np.array([cv2.boxPoints(rects[index]) for index in kept], np.float32).reshape(-1, 4, 2)
    return _clockwise(corners), np.array(kept, np.intp)


def _clockwise(corners: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of each of [n, 4, 2] top left, top right, bottom right, bottom left: the two leftmost by height, then the two
    rightmost."""
    by_x = _sorted(corners, 0)
    left, right = _sorted(by_x[:, :2], 1), _sorted(by_x[:, 2:], 1)
    return np.stack([left[:, 0], right[:, 0], right[:, 1], left[:, 1]], axis=1)


def _sorted(points: npt.NDArray[Any], axis: int) -> npt.NDArray[Any]:
    order = np.argsort(points[:, :, axis], axis=1, kind="stable")
    return np.take_along_axis(points, order[:, :, None], axis=1)


def _mean_inside(probability: npt.NDArray[np.float32], rect: npt.NDArray[np.float32]) -> float:
    """The mean probability over the pixels of a quad."""
    import cv2

    limit = np.array(probability.shape[::-1]) - 1
    low = np.clip(np.floor(rect.min(axis=0)).astype(np.int32), 0, limit)
    high = np.clip(np.ceil(rect.max(axis=0)).astype(np.int32), 0, limit)
    mask = np.zeros((high[1] - low[1] + 1, high[0] - low[0] + 1), np.uint8)
    cv2.fillPoly(mask, (rect - low.astype(np.float32)).astype(np.int32)[None], 1)
    return float(cv2.mean(probability[low[1] : high[1] + 1, low[0] : high[0] + 1], mask)[0])


def _distances(rects: npt.NDArray[np.float32], ratio: float) -> npt.NDArray[np.float64]:
    """By how much each rectangle grows: area × ratio / perimeter, in pixels."""
    edges = np.roll(rects, -1, axis=1).astype(np.float64) - rects
    following = np.roll(edges, -1, axis=1)
    areas = np.abs(edges[..., 0] * following[..., 1] - edges[..., 1] * following[..., 0]).mean(axis=1)
    distances: npt.NDArray[np.float64] = areas * ratio / np.linalg.norm(edges, axis=2).sum(axis=1)
    return distances


def _grown(rect: npt.NDArray[np.float32], distance: float) -> npt.NDArray[np.int32]:
    """The rectangle offset outwards with round corners, as points [n, 1, 2]."""
    import pyclipper

    offset = pyclipper.PyclipperOffset()
    offset.AddPath(rect, pyclipper.JT_ROUND, pyclipper.ET_CLOSEDPOLYGON)
    return np.array([point for path in offset.Execute(distance) for point in path], np.int32).reshape(-1, 1, 2)


def _reading_order(quads: Quads) -> npt.NDArray[np.intp]:
    """Lines from top to bottom, and within a line from left to right."""
    tops = quads[:, 0, 1]
    by_top = np.argsort(tops, kind="stable")
    line = np.cumsum(np.diff(tops[by_top], prepend=tops[by_top[:1]]) >= _SAME_LINE)
    return by_top[np.lexsort((quads[by_top, 0, 0], line))]
