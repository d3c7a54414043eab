"""The cells of a table: SLANet (arXiv 2210.05391) writes the table's HTML token by token, and a box for each cell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import Model, check_signature, open_model
from vista_fast.models.documents.config import DocumentConfig
from vista_fast.models.documents.normalise import network_planes
from vista_fast.models.weights import find_weight

SIDE = 488
"""Of the network's square input, in pixels: the longer side of a table becomes this, and zeros fill the rest."""
LIBRARY = "onnxruntime"
"""It alone runs the network's loop over tokens."""
_WHOLE_CELL, _OPEN_CELL = "<td></td>", "<td"
_SPAN = re.compile(r'(rowspan|colspan)="(\d+)"')


@dataclass(frozen=True, slots=True)
class TableStructure:
    """A table without its text. Its cells come in the order of its rows.

    Attributes:
        boxes: float32 [n, 4], left, top, right, bottom of each cell's content in the image's pixels; all 0 for a cell
            that the network sees nothing in.
        places: int32 [n, 4], each cell's first row, first column, rows and columns.
        tokens: the HTML between ``<table>`` and ``</table>``.
        score: the mean probability of the tokens, in [0, 1].
    """

    boxes: npt.NDArray[np.float32]
    places: npt.NDArray[np.int32]
    tokens: tuple[str, ...]
    score: float

    @property
    def html(self) -> str:
        """The table with empty cells."""
        return f"<table>{''.join(self.tokens)}</table>"


class TableModel:
    """The network, loaded. Safe to call from several threads."""

    def __init__(self, config: DocumentConfig | None = None, *, threads: int | None = None) -> None:
        """Load the network. ``threads`` is the budget where ``config.threads`` is None; its default is all cores."""
        self.config = config = config or DocumentConfig()
        path = table_weights()
        self._model = open_model(path, backend=LIBRARY, threads=config.threads or threads, device=config.device)
        check_signature(self._model, path, {"x": (None, 3, SIDE, SIDE)}, {})
        self._tokens = _tokens(self._model)

    def read(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[TableStructure]:
        """The structures of images [H, W, 3] RGB of any sizes, each of which shows one table.

        What else is in the batch moves boxes by at most 0.01 pixels and scores by at most 0.0001.
        """
        found = self._model.run({"x": np.stack([_network_input(image) for image in images])})
        boxes, tokens = (found[spec.name] for spec in self._model.outputs)
        return [
            self._structure(boxes[index], tokens[index], (image.shape[1], image.shape[0]))
            for index, image in enumerate(images)
        ]

    def _structure(
        self, boxes: npt.NDArray[np.float32], probabilities: npt.NDArray[np.float32], size: tuple[int, int]
    ) -> TableStructure:
        """``boxes`` [steps, 4] are fractions of the image; ``probabilities`` are [steps, tokens]."""
        chosen = probabilities.argmax(axis=1)
        first, last = 0, len(self._tokens) - 1
        ends = np.flatnonzero(chosen[1:] == last)
        length = int(ends[0]) + 1 if len(ends) else len(chosen)
        steps = [step for step in range(length) if chosen[step] not in (first, last)]
        tokens = tuple(self._tokens[chosen[step]] for step in steps)
        cells = [step for step, token in zip(steps, tokens, strict=True) if token in (_WHOLE_CELL, _OPEN_CELL)]
        sure = probabilities[steps, chosen[steps]]
        return TableStructure(
            (boxes[cells] * np.array(size * 2, np.float32)).reshape(-1, 4),
            places_of(tokens),
            tokens,
            float(sure.mean()) if len(steps) else 0.0,
        )


def table_weights() -> Path:
    """The file of the network. Raises NotFoundError, which says how to get it."""
    return find_weight("slanet-1m")


def places_of(tokens: Sequence[str]) -> npt.NDArray[np.int32]:
    """First row, first column, rows and columns [n, 4] of the cells that HTML tokens describe, spans respected."""
    places: list[tuple[int, int, int, int]] = []
    taken: set[tuple[int, int]] = set()
    row, column = -1, 0
    for cell in re.findall(r"<tr>|<td[^>]*>", "".join(tokens)):
        if cell == "<tr>":
            row, column = row + 1, 0
            continue
        spans = {name: int(count) for name, count in _SPAN.findall(cell)}
        rows, columns = spans.get("rowspan", 1), spans.get("colspan", 1)
        row = max(row, 0)
        while (row, column) in taken:
            column += 1
        taken.update((row + down, column + across) for down in range(rows) for across in range(columns))
        places.append((row, column, rows, columns))
        column += columns
    return np.array(places, np.int32).reshape(-1, 4)


def _tokens(model: Model) -> tuple[str, ...]:
    """What the network's classes stand for: the start, the file's tokens but a cell's opening by itself, and an empty
    cell as one token instead, the end."""
    if "character" not in model.metadata:
        raise InvalidArgumentError("the table network carries no tokens (metadata 'character'); use SLANet's file")
    listed = [token for token in model.metadata["character"].splitlines() if token not in ("<td>", _WHOLE_CELL)]
    return ("", *listed, _WHOLE_CELL, "")


def _network_input(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    height, width = image.shape[:2]
    ratio = SIDE / max(height, width)
    size = (max(int(width * ratio), 1), max(int(height * ratio), 1))
    planes = np.zeros((3, SIDE, SIDE), np.float32)
    planes[:, : size[1], : size[0]] = network_planes(image, size)
    return planes
