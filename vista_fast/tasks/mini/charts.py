"""Bar charts of real tables, drawn with matplotlib: four bars, each in a vertical strip, its value above it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from threading import Lock
from typing import TYPE_CHECKING, Any

from vista_fast.tasks.mini import tables
from vista_fast.tasks.mini.picture import COLOURS, COUNT, ORDINALS, SIDE, Ask, Box, Question, missing_extra

if TYPE_CHECKING:
    import PIL.Image

KINDS = ("tallest", "shortest", "colour", "position")
REGIONS: dict[str, Box] = {
    "strip 1": (0, 0.1, 0.25, 0.9),
    "strip 2": (0.25, 0.1, 0.5, 0.9),
    "strip 3": (0.5, 0.1, 0.75, 0.9),
    "strip 4": (0.75, 0.1, 1, 0.9),
}
NEEDS_ZOOM = False

_STRIP = SIDE // COUNT
_FLOOR = 396
_TALLEST = 300
_TEMPLATES = ("What is the value of the {}?", "Which number is printed above the {}?", "Read the value of the {}.")


@dataclass(frozen=True, slots=True)
class Chart:
    """Facts of a chart; the sequences run over the strips from left to right."""

    title: str
    unit: str
    labels: tuple[str, ...]
    numbers: tuple[int, ...]
    colours: tuple[str, ...]
    offsets: tuple[int, ...]
    width: int
    paper: str
    grid: bool

    @property
    def contents(self) -> tuple[str, ...]:
        return tuple(f"{colour} bar {height}" for colour, height in zip(self.colours, self._heights, strict=True))

    def aspect(self, ask: Ask) -> tuple[str, ...]:
        if ask.kind == "position":
            return ORDINALS
        return self.colours if ask.kind == "colour" else self._heights

    @property
    def _heights(self) -> tuple[str, ...]:
        ends = {max(self.numbers): "tallest", min(self.numbers): "shortest"}
        return tuple(ends.get(number, "between") for number in self.numbers)

    def question(self, ask: Ask, rng: random.Random) -> Question:
        bar = {
            "tallest": "tallest bar",
            "shortest": "shortest bar",
            "colour": f"{self.colours[ask.region]} bar",
            "position": f"{ORDINALS[ask.region]} bar from the left",
        }[ask.kind]
        name = tuple(REGIONS)[ask.region]
        return Question(rng.choice(_TEMPLATES).format(bar), f"{bar.removesuffix(' from the left')} {name}")

    def paint(self) -> PIL.Image.Image:
        return _canvas().paint(self)


def compose(plan: Sequence[Ask], rng: random.Random) -> Chart:
    """A chart of four rows of one series; the plan says where the tallest and the shortest bar stand."""
    series, rising = tables.pick(rng)
    order = _order(plan, rng)
    rows = [rising[rank] for rank in order]
    return Chart(
        title=series.title,
        unit=series.unit,
        labels=tuple(label for label, _ in rows),
        numbers=tuple(value for _, value in rows),
        colours=tuple(rng.sample(list(COLOURS), COUNT)),
        offsets=tuple(rng.randint(-8, 8) for _ in rows),
        width=rng.randint(44, 76),
        paper=rng.choice(("#ffffff", "#fbfaf5", "#f3f6fa")),
        grid=rng.random() < 0.6,
    )


def _order(plan: Sequence[Ask], rng: random.Random) -> list[int]:
    """For each strip the rank (0 the lowest) of the row that it shows."""
    fixed = {
        ask.region: 0 if ask.kind == "shortest" else COUNT - 1 for ask in plan if ask.kind in ("tallest", "shortest")
    }
    free = [rank for rank in range(COUNT) if rank not in fixed.values()]
    rng.shuffle(free)
    return [fixed[strip] if strip in fixed else free.pop() for strip in range(COUNT)]


class _Canvas:
    """One figure whose artists are moved from chart to chart, because building them takes longer than drawing them."""

    def __init__(self) -> None:
        try:
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure
        except ImportError as error:
            raise missing_extra(error) from error
        dpi = 72
        self.figure = Figure(figsize=(SIDE / dpi, SIDE / dpi), dpi=dpi)
        self.agg: Any = FigureCanvasAgg(self.figure)
        self.turn = Lock()
        axes = self.figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, SIDE)
        axes.set_ylim(SIDE, 0)
        self.grid = [
            axes.axhline(y, color="#d9dde2", linewidth=1, zorder=0) for y in range(_FLOOR - _TALLEST, _FLOOR, 75)
        ]
        axes.axhline(_FLOOR, color="#444444", linewidth=1.5)
        self.bars = axes.bar(range(COUNT), [1] * COUNT)
        text: dict[str, Any] = {"ha": "center", "family": "DejaVu Sans"}
        self.values = [axes.text(0, 0, "", va="bottom", size=13, color="#111111", **text) for _ in range(COUNT)]
        self.labels = [axes.text(0, 406, "", va="top", size=8, color="#444444", **text) for _ in range(COUNT)]
        self.title = axes.text(14, 17, "", va="center", size=12, weight="bold", family="DejaVu Sans")
        self.unit = axes.text(14, 35, "", va="center", size=9, color="#555555", family="DejaVu Sans")

    def paint(self, chart: Chart) -> PIL.Image.Image:
        """The chart's picture; threads that share the figure take turns."""
        from PIL import Image

        with self.turn:
            self._arrange(chart)
            self.agg.draw()
            return Image.frombuffer("RGBA", (SIDE, SIDE), self.agg.buffer_rgba()).convert("RGB")

    def _arrange(self, chart: Chart) -> None:
        self.figure.set_facecolor(chart.paper)
        self.title.set_text(chart.title)
        self.unit.set_text(chart.unit)
        for line in self.grid:
            line.set_visible(chart.grid)
        scale = _TALLEST / max(chart.numbers)
        for strip, number in enumerate(chart.numbers):
            centre = _STRIP * strip + _STRIP // 2 + chart.offsets[strip]
            height = round(scale * number)
            self.bars[strip].set_bounds(centre - chart.width // 2, _FLOOR - height, chart.width, height)
            self.bars[strip].set_facecolor(COLOURS[chart.colours[strip]])
            self.values[strip].set_text(str(number))
            self.values[strip].set_position((centre, _FLOOR - height - 7))
            self.labels[strip].set_text(_wrapped(chart.labels[strip]))
            self.labels[strip].set_x(_STRIP * strip + _STRIP // 2)


@lru_cache(maxsize=1)
def _canvas() -> _Canvas:
    return _Canvas()


def _wrapped(label: str, width: int = 19) -> str:
    """A label on at most two lines that fit below its bar."""
    import textwrap

    return "\n".join(textwrap.wrap(label, width, max_lines=2, placeholder="."))
