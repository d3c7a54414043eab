"""An engine, a toolbox over it, and images to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

import vista_fast as vf
from vista_fast.models.ocr import OcrConfig


@pytest.fixture
def engine() -> Iterator[vf.Engine]:
    with vf.Engine(threads=2) as engine:
        yield engine


@pytest.fixture
def toolbox(engine: vf.Engine) -> vf.Toolbox:
    """Without ocr."""
    return vf.Toolbox.default(engine, ocr=None)


@pytest.fixture
def image(engine: vf.Engine) -> vf.Image:
    """400 wide, 300 high, every pixel its own colour."""
    rows, columns = np.mgrid[0:300, 0:400]
    return engine.image(
        np.stack([columns % 256, rows % 256, (columns // 256) * 128 + rows // 256], -1).astype(np.uint8)
    )


@pytest.fixture(scope="module")
def reading() -> Iterator[vf.Toolbox]:
    """With ocr, one for a whole module."""
    with vf.Engine(threads=2) as engine:
        yield vf.Toolbox.default(engine, ocr=OcrConfig(limit_side_len=320))


@pytest.fixture
def note() -> Callable[..., PilImage.Image]:
    """``note(*lines)``: 320 × 320 pixels, one line per 60 pixels from the top, in readable print."""

    def draw(*lines: str) -> PilImage.Image:
        image = PilImage.new("RGB", (320, 320), "white")
        pen = ImageDraw.Draw(image)
        for index, line in enumerate(lines):
            pen.text((20, 20 + 60 * index), line, font=ImageFont.load_default(size=26), fill="black")
        return image

    return draw
