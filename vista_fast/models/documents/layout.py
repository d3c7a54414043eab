"""The regions of a page: PicoDet (arXiv 2111.00902) trained on CDLA.

Its head gives, for the points of four grids, a score per class and, for each side of the box, a distribution over the
distance to it (Generalized Focal Loss, arXiv 2006.04388).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import Model, check_signature, open_model
from vista_fast.models.documents.config import DocumentConfig
from vista_fast.models.documents.normalise import network_planes
from vista_fast.models.weights import find_weight

WIDTH, HEIGHT = 608, 800
"""Of the network's input, in pixels, whatever the page's own proportions."""
_STRIDES = (8, 16, 32, 64)
_MOST_PER_GRID, _MOST_PER_CLASS, _MOST_KEPT = 1000, 200, 100
"""Points looked at in a grid and boxes looked at in a class, best first; boxes kept of a class."""

Boxes = npt.NDArray[np.float32]
"""[n, 4]: left, top, right, bottom in pixels."""


@dataclass(frozen=True, slots=True)
class Regions:
    """The regions of a page, class by class, best first.

    Attributes:
        boxes: float32 [n, 4], left, top, right, bottom in the page's pixels, inside it.
        labels: text, title, figure, figure_caption, table, table_caption, header, footer, reference or equation.
        scores: float32 [n] in [0, 1].
    """

    boxes: Boxes
    labels: tuple[str, ...]
    scores: npt.NDArray[np.float32]


class LayoutModel:
    """The network, loaded. Safe to call from several threads."""

    def __init__(self, config: DocumentConfig | None = None, *, threads: int | None = None) -> None:
        """Load the network. ``threads`` is the budget where ``config.threads`` is None; its default is all cores."""
        self.config = config = config or DocumentConfig()
        path = layout_weights()
        # Its shapes are fixed, so that TensorRT needs no profile.
        self._model = open_model(path, backend=config.library, threads=config.threads or threads, device=config.device)
        check_signature(self._model, path, {"image": (1, 3, HEIGHT, WIDTH)}, {})
        self._labels = _labels(self._model)

    def detect(self, image: npt.NDArray[np.uint8]) -> Regions:
        """The regions of a page [H, W, 3] RGB. The network takes one page at a time."""
        found = self._model.run({"image": network_planes(image, (WIDTH, HEIGHT))[None]})
        outputs = [found[spec.name][0] for spec in self._model.outputs]
        scores = _by_grid(outputs, len(self._labels))
        distances = _by_grid(outputs, outputs[-1].shape[-1])
        boxes, marks = _candidates(scores, distances, self.config.score_threshold)
        kept = [
            (index, label) for label in range(len(self._labels)) for index in _best(boxes, marks[:, label], self.config)
        ]
        return self._regions(boxes, marks, kept, (image.shape[1], image.shape[0]))

    def _regions(
        self, boxes: Boxes, scores: npt.NDArray[np.float32], kept: list[tuple[int, int]], size: tuple[int, int]
    ) -> Regions:
        indices = [index for index, _ in kept]
        inside = np.clip(boxes[indices], 0, np.array([WIDTH, HEIGHT] * 2))
        scaled = inside * np.array([size[0] / WIDTH, size[1] / HEIGHT] * 2)
        return Regions(
            np.clip(scaled, 0, np.array(size * 2)).astype(np.float32).reshape(-1, 4),
            tuple(self._labels[label] for _, label in kept),
            np.array([scores[entry] for entry in kept], np.float32),
        )


def layout_weights() -> Path:
    """The file of the network. Raises NotFoundError, which says how to get it."""
    return find_weight("pp-layout-cdla")


def _labels(model: Model) -> tuple[str, ...]:
    if "character" not in model.metadata:
        raise InvalidArgumentError("the layout network carries no classes (metadata 'character'); use PP layout's file")
    return tuple(model.metadata["character"].splitlines())


def _by_grid(outputs: list[npt.NDArray[np.float32]], width: int) -> list[npt.NDArray[np.float32]]:
    """The outputs of that many columns, from the finest grid to the coarsest."""
    return sorted((output for output in outputs if output.shape[-1] == width), key=len, reverse=True)


def _candidates(
    scores: list[npt.NDArray[np.float32]], distances: list[npt.NDArray[np.float32]], threshold: float
) -> tuple[Boxes, npt.NDArray[np.float32]]:
    """Boxes [n, 4] in the network's input and their scores per class [n, classes], where any is above the threshold."""
    boxes, kept = [], []
    for stride, marks, distance in zip(_STRIDES, scores, distances, strict=True):
        best = marks.max(axis=1)
        points = np.flatnonzero(best > threshold)
        points = points[np.argsort(-best[points], kind="stable")][:_MOST_PER_GRID]
        boxes.append(_decoded(points, distance[points], stride))
        kept.append(marks[points])
    return np.concatenate(boxes), np.concatenate(kept)


def _decoded(points: npt.NDArray[np.intp], distances: npt.NDArray[np.float32], stride: int) -> Boxes:
    """Boxes around points of a grid, given as its indices: on each side the mean of the distance's distribution."""
    columns = -(-WIDTH // stride)
    centres = (np.stack([points % columns, points // columns], axis=1) + 0.5) * stride
    steps = distances.shape[1] // 4
    weights = np.exp(distances.reshape(-1, 4, steps) - distances.reshape(-1, 4, steps).max(axis=2, keepdims=True))
    reach = (weights / weights.sum(axis=2, keepdims=True)) @ np.arange(steps, dtype=np.float32) * stride
    return np.concatenate([centres - reach[:, :2], centres + reach[:, 2:]], axis=1).astype(np.float32)


def _best(boxes: Boxes, scores: npt.NDArray[np.float32], config: DocumentConfig) -> list[int]:
    """Indices of the boxes of one class that are left when the best ones have taken those that they overlap."""
    left = np.flatnonzero(scores > config.score_threshold)
    left = left[np.argsort(-scores[left], kind="stable")][:_MOST_PER_CLASS]
    kept: list[int] = []
    while len(left) and len(kept) < _MOST_KEPT:
        kept.append(int(left[0]))
        left = left[1:]
        left = left[_overlaps(boxes[kept[-1]], boxes[left]) <= config.overlap_threshold]
    return kept


def _overlaps(box: npt.NDArray[np.float32], others: Boxes) -> npt.NDArray[np.float32]:
    """Intersection over union of a box [4] with others [n, 4]."""
    common = _area(np.concatenate([np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])], axis=1))
    union = _area(box[None]) + _area(others) - common
    shares: npt.NDArray[np.float32] = common / np.maximum(union, np.float32(1e-5))
    return shares


def _area(boxes: Boxes) -> npt.NDArray[np.float32]:
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    areas: npt.NDArray[np.float32] = sides[:, 0] * sides[:, 1]
    return areas
