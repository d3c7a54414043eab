"""The tools layout and table over the engine, on drawn pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

import vista_fast as vf
from vista_fast.errors import InvalidArgumentError
from vista_fast.models.documents import DocumentConfig
from vista_fast.models.ocr import OcrConfig
from vista_fast.models.weights import fetch_weight
from vista_fast.tools.documents import as_markdown, cell_of

ROWS = (("City", "2019", "2020"), ("Rome", "12.5", "13.1"), ("Oslo", "7.0", "8.25"))
MARKDOWN = "| City | 2019 | 2020 |\n| --- | --- | --- |\n| Rome | 12.5 | 13.1 |\n| Oslo | 7.0 | 8.25 |"


def drawn(rows: tuple[tuple[str, ...], ...] = ROWS) -> PilImage.Image:
    """A ruled table in the upper part of 500 × 320 pixels."""
    image = PilImage.new("RGB", (500, 320), "white")
    pen = ImageDraw.Draw(image)
    for down, texts in enumerate(rows):
        for across, text in enumerate(texts):
            pen.text((25 + 160 * across, 20 + 45 * down), text, font=ImageFont.load_default(size=22), fill="black")
    for down in range(len(rows) + 1):
        pen.line((10, 10 + 45 * down, 490, 10 + 45 * down), fill="black")
    for across in range(4):
        pen.line((10 + 160 * across, 10, 10 + 160 * across, 10 + 45 * len(rows)), fill="black")
    return image


@pytest.fixture(scope="module")
def documents() -> Iterator[vf.Toolbox]:
    for name in ("pp-layout-cdla", "slanet-1m"):
        fetch_weight(name)
    with vf.Engine(threads=2) as engine:
        yield vf.Toolbox.default(engine, ocr=OcrConfig(limit_side_len=320), documents=DocumentConfig())


async def test_a_table_comes_as_markdown(documents: vf.Toolbox) -> None:
    image = documents.engine.image(drawn())
    box = vf.ToolCall("table", {"bbox_2d": [0, 0, 500, 155]})
    calls = [documents.call(box, images=[image], flow=f"rollout {place}") for place in range(4)]
    assert {seen.text for seen in await asyncio.gather(*calls)} == {MARKDOWN}
    assert documents.engine.stats()["ops"]["table.structure"]["batches"] == 1
    head = vf.ToolCall("table", {"bbox_2d": [0, 0, 1, 0.31], "target_image": 1})
    assert (await documents.call(head, images=[image])).text == "\n".join(MARKDOWN.splitlines()[:3])


@pytest.mark.parametrize("op", ["layout.detect", "table.structure"])
def test_an_op_refuses_what_it_does_not_know(documents: vf.Toolbox, op: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"{op} has no argument 'box'; it takes image"):
        documents.engine.call(op, np.asarray(drawn()), box=(0, 0, 9, 9))


async def test_what_is_no_table_is_said_and_is_no_error(documents: vf.Toolbox) -> None:
    image = documents.engine.image(drawn(()))
    seen = await documents.call(vf.ToolCall("table"), images=[image])
    assert (seen.text, seen.error) == ("No table found in the image.", None)
    below = await documents.call(vf.ToolCall("table", {"bbox_2d": [0, 200, 500, 320]}), images=[image])
    assert (below.text, below.error) == ("No table found in this region.", None)
    outside = await documents.call(vf.ToolCall("table", {"bbox_2d": [0, 400, 500, 500]}), images=[image])
    assert outside.error is not None
    assert outside.error.kind == "E3"


async def test_layout_lists_regions_from_the_top(documents: vf.Toolbox) -> None:
    page = PilImage.new("RGB", (600, 800), "white")
    pen = ImageDraw.Draw(page)
    page.paste(drawn(), (50, 450))
    for line in range(14):
        text = "Calls that are alike run together, and equal ones run once."
        pen.text((50, 40 + 24 * line), text, font=ImageFont.load_default(size=18), fill="black")
    seen = await documents.call(vf.ToolCall("layout"), images=[documents.engine.image(page)])
    regions = json.loads(seen.text)["regions"]
    assert [region["label"] for region in regions] == ["text", "table"]
    assert regions[1]["bbox"] == pytest.approx([60, 460, 540, 595], abs=15)
    assert all(0.5 < region["score"] <= 1 for region in regions)


async def test_table_is_offered_where_there_is_ocr(documents: vf.Toolbox) -> None:
    assert documents.names == ("zoom", "rotate", "ocr", "layout", "table")
    with vf.Engine(threads=1) as engine:
        assert vf.Toolbox.default(engine, ocr=None, documents=DocumentConfig()).names == ("zoom", "rotate", "layout")


def quad(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)


def test_a_line_goes_where_it_overlaps_most_else_to_the_nearest_cell() -> None:
    boxes = np.array([(0, 0, 10, 10), (20, 0, 30, 10), (0, 0, 0, 0), (0, 20, 10, 30)], np.float32)
    assert cell_of(quad(8, 2, 25, 8), boxes) == 1
    assert cell_of(quad(1, 1, 9, 9), boxes) == 0
    assert cell_of(quad(13, 12, 18, 14), boxes) == 1
    assert cell_of(quad(0, 14, 5, 18), boxes) == 3
    assert cell_of(quad(5, 5, 6, 6), np.zeros((3, 4), np.float32)) == 0


def test_markdown_escapes_bars_and_leaves_the_rest_of_a_span_empty() -> None:
    places = np.array([(0, 0, 1, 2), (1, 0, 1, 1), (1, 1, 1, 1)], np.int32)
    assert as_markdown(["a|b", "c", "d"], places) == "| a\\|b |  |\n| --- | --- |\n| c | d |"
    huge = np.array([(0, 0, 1, 1), (5000, 0, 1, 10)], np.int32)
    assert len(as_markdown(["x", "y"], huge).splitlines()) == 1001
