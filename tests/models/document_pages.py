"""Pages and tables, drawn."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint8]

TEXT = "It was measured on all cores of the machine, with the same weights and in the same run as the others. "
CITIES = (("City", "2019", "2020"), ("Rome", "12.5", "13.1"), ("Oslo", "7.0", "8.25"), ("Lima", "31", "44"))


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def table(
    rows: Sequence[Sequence[str]] = CITIES, *, size: int = 18, row: int = 45, column: int = 160, lines: bool = True
) -> Pixels:
    """A table of ``row`` × ``column`` pixels per cell, with or without its lines."""
    width, height = column * len(rows[0]) + 20, row * len(rows) + 20
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for down, texts in enumerate(rows):
        for across, text in enumerate(texts):
            draw.text((25 + column * across, 10 + row * down + (row - size) // 2), text, font=font(size), fill="black")
    if lines:
        for down in range(len(rows) + 1):
            draw.line((10, 10 + row * down, width - 10, 10 + row * down), fill="black")
        for across in range(len(rows[0]) + 1):
            draw.line((10 + column * across, 10, 10 + column * across, height - 10), fill="black")
    return np.asarray(image)


def page(columns: int = 1) -> Pixels:
    """A page of a paper: a title, text, a table with its caption, a figure with its caption."""
    image = Image.new("RGB", (850, 1100), "white")
    draw = ImageDraw.Draw(image)
    draw.text((160, 60), "Batching the Calls of Tools", font=font(36), fill="black")
    width = (850 - 120 - 30 * (columns - 1)) // columns
    for column in range(columns):
        left = 60 + column * (width + 30)
        for line in range(18):
            words = (TEXT * 2)[line * 3 : line * 3 + width // 9]
            draw.text((left, 150 + 20 * line), words, font=font(14), fill="black")
    draw.text((250, 540), "Table 1: Rain in three cities.", font=font(14), fill="black")
    image.paste(Image.fromarray(table()), (175, 565))
    gradient = np.linspace(0, 255, 300, dtype=np.uint8)[None, :, None].repeat(200, 0).repeat(3, 2)
    image.paste(Image.fromarray(gradient), (275, 800))
    draw.text((300, 1010), "Figure 1: From dark to light.", font=font(14), fill="black")
    return np.asarray(image)
