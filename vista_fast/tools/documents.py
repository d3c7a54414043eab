"""Tools for documents: layout, the regions of a page; table, a table as Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from vista_fast.tools.perception import ReadingTool, read_lines
from vista_fast.tools.regions import TARGET_SCHEMA, resolve_box
from vista_fast.tools.tool import CallContext, Tool
from vista_fast.types import Observation

_MOST_CELLS = 10_000
"""Of the Markdown's grid, whatever spans the network writes."""


class Layout(Tool):
    """Finds the parts of a page.

    The Observation's text is JSON: ``regions``, from the top down and then from the left, with ``label`` (text, title,
    figure, figure_caption, table, table_caption, header, footer, reference, equation), ``bbox`` (left, top, right,
    bottom in pixels) and ``score``.
    """

    name = "layout"
    description = (
        "Find the parts of a document page: text, title, figure, table, captions, header, footer, reference, equation. "
        "Gives back JSON: regions (label, bbox, score)."
    )
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"target_image": TARGET_SCHEMA},
        "required": [],
    }
    expects = ("layout.detect",)

    async def run(self, call: CallContext, /, *, target_image: int | None = None) -> Observation:
        found = await call.op("layout.detect", call.image(target_image))
        regions = [
            {"label": label, "bbox": [round(float(value)) for value in box], "score": round(float(score), 3)}
            for box, label, score in zip(found["boxes"], found["labels"], found["scores"], strict=True)
        ]
        regions.sort(key=lambda region: (region["bbox"][1], region["bbox"][0]))
        return Observation(json.dumps({"regions": regions}))


class Table(ReadingTool):
    """Reads a table.

    The structure comes from the pixels of the region, the text from reading its lines; a line goes into the cell that
    it overlaps most, else into the nearest one. The text of a cell that spans several stands in the first of them.
    """

    name = "table"
    description = "Read a table in an image, or in a region of it. Gives back the table as Markdown."
    expects = ("table.structure",)

    async def run(
        self, call: CallContext, /, *, bbox_2d: Sequence[float] | None = None, target_image: int | None = None
    ) -> Observation:
        image = call.image(target_image)
        if bbox_2d is not None:
            box = resolve_box("bbox_2d", bbox_2d, image.width, image.height)
            image = await call.op("image.zoom", image, box=box, size=(box[2] - box[0], box[3] - box[1]))
        structure = await call.op("table.structure", image)
        cells = len(structure["places"])
        lines = await read_lines(call, image, None, self.min_score) if cells > 1 else []
        # The network writes a grid for any picture; one without text is none.
        if not lines:
            return Observation("No table found in the image." if bbox_2d is None else "No table found in this region.")
        texts: list[list[str]] = [[] for _ in range(cells)]
        for line in lines:
            texts[cell_of(line.quad, structure["boxes"])].append(line.text)
        return Observation(as_markdown([" ".join(cell) for cell in texts], structure["places"]))


def cell_of(quad: npt.NDArray[np.float32], boxes: npt.NDArray[np.float32]) -> int:
    """The index of the box [n, 4] that a line's quad [4, 2] overlaps most, else of the one that is nearest to it."""
    low, high = quad.min(axis=0), quad.max(axis=0)
    gaps = np.maximum(boxes[:, :2], low) - np.minimum(boxes[:, 2:], high)
    common = np.prod(np.clip(-gaps, 0, None), axis=1)
    if common.max() > 0:
        return int(common.argmax())
    seen = boxes.any(axis=1) | (not boxes.any())
    distances = np.linalg.norm(np.clip(gaps, 0, None), axis=1)
    return int(np.where(seen, distances, np.inf).argmin())


def grid_size(places: npt.NDArray[np.int32]) -> tuple[int, int]:
    """Rows and columns of the grid that cells of these places [n, 4] lie in."""
    return int((places[:, 0] + places[:, 2]).max()), int((places[:, 1] + places[:, 3]).max())


def as_markdown(texts: Sequence[str], places: npt.NDArray[np.int32]) -> str:
    """A table in Markdown, its first row as the head. Cells that would lie beyond 10,000 are left out."""
    rows, columns = grid_size(places)
    rows = min(rows, max(_MOST_CELLS // columns, 1))
    grid = [[""] * columns for _ in range(rows)]
    for text, (row, column, _, _) in zip(texts, places.tolist(), strict=True):
        if row < rows:
            grid[row][column] = text.replace("|", "\\|")
    written = [f"| {' | '.join(row)} |" for row in grid]
    return "\n".join([written[0], f"|{' --- |' * columns}", *written[1:]])
