"""Receipts, forms and tables, drawn with Pillow: four rows, each in a horizontal band, its number on the right."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vista_fast.tasks.mini.picture import COLOURS, COUNT, SIDE, Ask, Box, Question, font, missing_extra

if TYPE_CHECKING:
    import PIL.Image
    import PIL.ImageDraw

KINDS = ("total", "highlight", "colour")
REGIONS: dict[str, Box] = {
    "band 1": (0.5, 0, 1, 0.25),
    "band 2": (0.5, 0.25, 1, 0.5),
    "band 3": (0.5, 0.5, 1, 0.75),
    "band 4": (0.5, 0.75, 1, 1),
}
NEEDS_ZOOM = False

STYLES = ("receipt", "form", "table")

_BAND = SIDE // COUNT
_INK = "#1a1a1a"
_HIGHLIGHT = "#9ff0e8"
_ITEMS = {
    "receipt": (
        ("Apples", "fresh, by the bag"),
        ("Bread", "whole grain"),
        ("Milk", "one litre"),
        ("Cheese", "aged, sliced"),
        ("Coffee", "ground"),
        ("Olive oil", "cold pressed"),
        ("Rice", "long grain"),
        ("Honey", "from the hills"),
    ),
    "form": (
        ("Travel", "train and bus"),
        ("Hotel", "nights away"),
        ("Meals", "with guests"),
        ("Parking", "at the station"),
        ("Books", "for the course"),
        ("Postage", "letters and parcels"),
        ("Phone", "calls abroad"),
        ("Printing", "posters"),
    ),
    "table": (
        ("North", "coast and islands"),
        ("South", "river valley"),
        ("East", "the old town"),
        ("West", "harbour side"),
        ("Centre", "inner ring"),
        ("Airport", "freight only"),
        ("Lakes", "summer season"),
        ("Hills", "vineyards"),
    ),
}
_TOTALS = {"receipt": ("Total", "to pay"), "form": ("Total", "claimed"), "table": ("Total", "all regions")}
_TEMPLATES = ("What is the number in the {}?", "Which number stands in the {}?", "Read the number of the {}.")


@dataclass(frozen=True, slots=True)
class Page:
    """Facts of a page; the sequences run over the bands from top to bottom."""

    style: str
    labels: tuple[tuple[str, str], ...]
    numbers: tuple[int, ...]
    colours: tuple[str, ...]
    total: int
    highlight: int
    column: int
    drops: tuple[int, ...]

    @property
    def contents(self) -> tuple[str, ...]:
        return tuple(f"{colour} row {mark}" for colour, mark in zip(self.colours, self._marks, strict=True))

    def aspect(self, ask: Ask) -> tuple[str, ...]:
        return self.colours if ask.kind == "colour" else self._marks

    @property
    def _marks(self) -> tuple[str, ...]:
        marked = {self.total: "total", self.highlight: "highlighted"}
        return tuple(marked.get(band, "plain") for band in range(COUNT))

    def question(self, ask: Ask, rng: random.Random) -> Question:
        row = {
            "total": "total row",
            "highlight": "highlighted row",
            "colour": f"{self.colours[ask.region]} row",
        }[ask.kind]
        return Question(rng.choice(_TEMPLATES).format(row), f"{row} {tuple(REGIONS)[ask.region]}")

    def paint(self) -> PIL.Image.Image:
        try:
            from PIL import Image, ImageDraw
        except ImportError as error:
            raise missing_extra(error) from error
        image = Image.new("RGB", (SIDE, SIDE), "#ffffff")
        draw = ImageDraw.Draw(image)
        _PAPERS[self.style](draw)
        for band in range(COUNT):
            self._paint_row(draw, band)
        return image

    def _paint_row(self, draw: PIL.ImageDraw.ImageDraw, band: int) -> None:
        top = _BAND * band
        if band == self.highlight:
            draw.rectangle((24, top + 12, SIDE - 25, top + _BAND - 13), fill=_HIGHLIGHT)
        _MARKS[self.style](draw, top, COLOURS[self.colours[band]])
        if band == self.total:
            draw.rectangle((20, top + 6, SIDE - 21, top + _BAND - 7), outline=_INK, width=6)
        name, detail = self.labels[band]
        middle = top + _BAND // 2
        draw.text((92, middle - 9), name, font=font(14, bold=True), fill=_INK, anchor="lm")
        draw.text((92, middle + 10), detail, font=font(10), fill="#666666", anchor="lm")
        number = str(self.numbers[band])
        draw.text((self.column, middle + self.drops[band]), number, font=font(13), fill=_INK, anchor="mm")


def compose(plan: Sequence[Ask], rng: random.Random) -> Page:
    """A page whose total row is the sum of its three other rows."""
    style = rng.choice(STYLES)
    total = _band(plan, "total", rng)
    highlight = _band(plan, "highlight", rng, taken=total)
    parts = rng.sample(range(10, 100), COUNT - 1)
    numbers = [*parts[:total], sum(parts), *parts[total:]]
    items = rng.sample(_ITEMS[style], COUNT - 1)
    labels = [*items[:total], _TOTALS[style], *items[total:]]
    return Page(
        style=style,
        labels=tuple(labels),
        numbers=tuple(numbers),
        colours=tuple(rng.sample(list(COLOURS), COUNT)),
        total=total,
        highlight=highlight,
        column=rng.randint(300, 380),
        drops=tuple(rng.randint(-12, 12) for _ in range(COUNT)),
    )


def _band(plan: Sequence[Ask], kind: str, rng: random.Random, taken: int = -1) -> int:
    """The band that the plan gives to a kind, else one that the plan leaves free."""
    for ask in plan:
        if ask.kind == kind:
            return ask.region
    asked = {ask.region for ask in plan if ask.kind in ("total", "highlight")}
    return rng.choice([band for band in range(COUNT) if band not in asked and band != taken])


def _paint_receipt(draw: PIL.ImageDraw.ImageDraw) -> None:
    draw.rectangle((0, 0, SIDE, SIDE), fill="#cfc8bd")
    draw.rectangle((12, 0, SIDE - 13, SIDE), fill="#fffdf7")
    for band in range(1, COUNT):
        for x in range(28, SIDE - 28, 12):
            draw.line((x, _BAND * band, x + 6, _BAND * band), fill="#8a8a8a")


def _paint_form(draw: PIL.ImageDraw.ImageDraw) -> None:
    draw.rectangle((0, 0, SIDE, SIDE), fill="#eef3f8")
    for band in range(COUNT):
        draw.rectangle((244, _BAND * band + 22, SIDE - 40, _BAND * (band + 1) - 23), fill="#ffffff", outline="#9aa7b5")


def _paint_table(draw: PIL.ImageDraw.ImageDraw) -> None:
    for band in range(1, COUNT):
        draw.line((0, _BAND * band, SIDE, _BAND * band), fill="#777777", width=2)
    for x in (80, 236):
        draw.line((x, 0, x, SIDE), fill="#bbbbbb")


def _mark_receipt(draw: PIL.ImageDraw.ImageDraw, top: int, colour: str) -> None:
    draw.rounded_rectangle((30, top + 22, 80, top + _BAND - 23), radius=18, fill=colour)


def _mark_form(draw: PIL.ImageDraw.ImageDraw, top: int, colour: str) -> None:
    draw.rectangle((32, top + 18, 78, top + _BAND - 19), fill=colour)


def _mark_table(draw: PIL.ImageDraw.ImageDraw, top: int, colour: str) -> None:
    draw.rectangle((26, top + 12, 80, top + _BAND - 13), fill=colour)


_PAPERS = {"receipt": _paint_receipt, "form": _paint_form, "table": _paint_table}
_MARKS = {"receipt": _mark_receipt, "form": _mark_form, "table": _mark_table}
