"""Line charts as inline SVG: the raw values faint, their running mean bold, a readout under the pointer."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vista_fast.report.markup import escape, joined, tag

WIDTH, HEIGHT = 380, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 10, 24
_PLOT_WIDTH, _PLOT_HEIGHT = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name, its value at each step, and which colour of the page it takes (a CSS class)."""

    name: str
    values: Sequence[float]
    colour: str = "c1"


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over the same ``steps``. ``note`` says what is good; ``floor`` and ``ceiling`` widen the axis to them."""

    title: str
    steps: Sequence[int]
    series: Sequence[Series]
    note: str = ""
    format: Format = lambda value: f"{value:.3g}"
    floor: float | None = None
    ceiling: float | None = None


def percent(value: float) -> str:
    """A share as a percentage, with a decimal where it matters."""
    return f"{value:.0%}" if value == 0 or abs(value) >= 0.1 else f"{value:.1%}"


def draw(chart: Chart) -> str:
    """The chart as a figure element."""
    low, high = _range(chart)
    ticks = nice_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    first, last = chart.steps[0], chart.steps[-1]

    def x(step: float) -> float:
        return _LEFT + (step - first) / (last - first or 1) * _PLOT_WIDTH

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low or 1) * _PLOT_HEIGHT

    parts = [_grid(ticks, y, chart.format), _step_labels(first, last, x)]
    for series in chart.series:
        smooth = running_mean(series.values)
        if len(chart.series) == 1 and len(series.values) > 8:
            parts.append(_line(chart.steps, series.values, x, y, f"raw {series.colour}"))
        parts.append(_line(chart.steps, smooth, x, y, f"line {series.colour}"))
    parts.append(tag("line", class_="cursor", x1=0, x2=0, y1=_TOP, y2=_TOP + _PLOT_HEIGHT))
    svg = tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=chart.title)
    return tag("figure", _caption(chart), svg, class_="chart", data_chart=_readout(chart))


def running_mean(values: Sequence[float]) -> list[float]:
    """An exponential mean over about a twelfth of the values, unbiased at the start; gaps (NaN) are stepped over."""
    keep = 1 - 1 / max(1.0, len(values) / 12)
    total = weight = 0.0
    smooth = []
    for value in values:
        if math.isfinite(value):
            total = total * keep + value
            weight = weight * keep + 1
        smooth.append(total / weight if weight else math.nan)
    return smooth


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About ``count`` round values (1, 2 or 5 times a power of ten apart) that cover ``low`` to ``high``.

    A range too narrow for the values' own precision counts as flat, and is widened to the size of its value.
    """
    span, size = high - low, max(abs(low), abs(high))
    if span <= max(size * 1e-6, 1e-12):
        span = size if size > 1e-12 else 1.0
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.floor(low / step + 1e-9)
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def _range(chart: Chart) -> tuple[float, float]:
    values = [value for series in chart.series for value in series.values if math.isfinite(value)] or [0.0]
    bounds = [bound for bound in (chart.floor, chart.ceiling) if bound is not None]
    return min(values + bounds), max(values + bounds)


def _grid(ticks: Sequence[float], y: Format | Callable[[float], float], label: Format) -> str:
    lines = []
    for tick in ticks:
        at = f"{y(tick):.1f}" if not isinstance(y(tick), str) else y(tick)
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at}" y2="{at}"/>')
        lines.append(
            f'<text class="tick" x="{_LEFT - 6}" y="{at}" dy="3.5" text-anchor="end">{escape(label(tick))}</text>'
        )
    return joined(lines)


def _step_labels(first: int, last: int, x: Callable[[float], float]) -> str:
    ticks = [tick for tick in nice_ticks(first, last, 5) if first <= tick <= last and tick == int(tick)]
    return joined(
        f'<text class="tick" x="{x(tick):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{int(tick)}</text>'
        for tick in ticks
    )


def _line(
    steps: Sequence[int],
    values: Sequence[float],
    x: Callable[[float], float],
    y: Callable[[float], float],
    classes: str,
) -> str:
    points = [(step, value) for step, value in zip(steps, values, strict=True) if math.isfinite(value)]
    path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in points)
    return f'<polyline class="{classes}" points="{path}"/>'


def _caption(chart: Chart) -> str:
    now = [
        tag(
            "b", escape(chart.format(running_mean(series.values)[-1])), class_=f"now {series.colour}", title=series.name
        )
        for series in chart.series
    ]
    legend = ""
    if len(chart.series) > 1:
        legend = tag(
            "span", *(tag("i", escape(series.name), class_=series.colour) for series in chart.series), class_="legend"
        )
    head = tag("span", tag("strong", escape(chart.title)), tag("span", *now, class_="values"), class_="head")
    note = tag("span", escape(chart.note), class_="note") if chart.note else ""
    return tag("figcaption", head, note, legend)


def _readout(chart: Chart) -> str:
    """What the page's script shows under the pointer: per step, the text of each line."""
    lines = {series.name: [chart.format(value) for value in series.values] for series in chart.series}
    return json.dumps({"steps": list(chart.steps), "lines": lines, "left": _LEFT, "width": _PLOT_WIDTH, "of": WIDTH})
