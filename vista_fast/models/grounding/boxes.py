"""From what the network gives to boxes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float32]
"""[n, 4]: left, top, right, bottom in pixels."""
Scores = npt.NDArray[np.float32]


def sigmoid(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """1 / (1 + exp(-x)); 0 where a logit is -inf."""
    half: npt.NDArray[np.float32] = np.float32(0.5) * (np.tanh(np.float32(0.5) * logits) + np.float32(1))
    return half


def corners(boxes: npt.NDArray[np.float32], width: float, height: float) -> Boxes:
    """Boxes [n, 4] given as centre and size in fractions of an image, in its pixels."""
    centre, size = boxes[:, :2], boxes[:, 2:]
    scale = np.array([width, height, width, height], np.float32)
    both: Boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1) * scale
    return both


def without_doubles(boxes: Boxes, scores: Scores, limit: float) -> npt.NDArray[np.intp]:
    """Indices of the boxes that stay when, from the best on, each takes out those that overlap it by more than
    ``limit`` (intersection over union), best first."""
    order = np.argsort(-scores, kind="stable")
    overlap = _overlaps(boxes[order])
    stays = np.ones(len(order), np.bool_)
    for index in range(len(order)):
        if stays[index]:
            stays[index + 1 :] &= overlap[index, index + 1 :] <= limit
    return order[stays]


def _overlaps(boxes: Boxes) -> npt.NDArray[np.float32]:
    """Intersection over union of every pair, [n, n]; 0 where both are empty."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)
    together = areas[:, None] + areas[None, :] - shared
    ratio: npt.NDArray[np.float32] = np.divide(shared, together, out=np.zeros_like(shared), where=together > 0)
    return ratio
