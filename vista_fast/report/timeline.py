"""One step as it ran: a row per trajectory with its decode and tool spans, so that the overlap can be seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from vista_fast.report.curves import nice_ticks
from vista_fast.report.data import StoredStep
from vista_fast.report.markup import escape, joined, tag
from vista_fast.rollout.timeline import Interval, call_times, length, union
from vista_fast.types import Trajectory

_Place = Callable[[float], float]
"""From a moment to its x in the picture."""

_WIDTH = 1160
_LEFT, _RIGHT = 92, 12
_LANE = 22
_ROWS_TOP = 64
_MOST_ROWS_HEIGHT = 720
_KINDS = (
    ("decode", "decoding"),
    ("run", "tool runs"),
    ("joined", "joined a flight"),
    ("cached", "from cache"),
    ("error", "failed call"),
    ("bare", "exposed: calls outstanding, nothing decoding"),
)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one trajectory's time, in seconds on the monotonic clock; ``kind`` is decode or a call's outcome."""

    kind: str
    start: float
    end: float
    text: str


def spans(trajectory: Trajectory) -> Iterator[Span]:
    """What a trajectory's time was spent on, turn by turn."""
    for number, turn in enumerate(trajectory.turns, 1):
        yield Span("decode", turn.started, turn.ended, f"turn {number}: {len(turn.token_ids)} tokens")
        record = turn.call
        if record is not None:
            name = record.call.name if record.call else "broken call"
            arguments = json.dumps(dict(record.call.arguments), ensure_ascii=False) if record.call else ""
            said = f"{record.error.kind} {record.error.message}" if record.error else record.outcome
            yield Span(record.outcome, record.submitted, record.completed, f"{name} {arguments}\n{said}")


def decoding(stored: StoredStep) -> list[Interval]:
    """When the generator worked: its own spans where they are stored, else whenever a trajectory was in a turn."""
    if stored.spans:
        return union((span.started, span.ended) for span in stored.spans)
    return union((turn.started, turn.ended) for trajectory in stored.trajectories for turn in trajectory.turns)


def outstanding(stored: StoredStep) -> list[Interval]:
    """When any tool call was outstanding."""
    return union(call_times(stored.trajectories))


def exposed(stored: StoredStep) -> tuple[list[Interval], float]:
    """When a call was outstanding and nothing was being decoded, and its share of the time in which any call was.

    This is exposed latency (``vista_fast.rollout.timeline``); the share is 0 when there was no call.
    """
    out = outstanding(stored)
    bare = _difference(out, decoding(stored))
    return bare, length(bare) / length(out) if out else 0.0


def draw(stored: StoredStep) -> str:
    """The timeline as a figure element; trajectories of one group lie together, groups in the order they ended."""
    begin = min(trajectory.started for trajectory in stored.trajectories)
    seconds = max(trajectory.ended for trajectory in stored.trajectories) - begin or 1e-9
    rows = _ordered(stored.trajectories)
    pitch = max(3.0, min(11.0, _MOST_ROWS_HEIGHT / len(rows)))
    bottom = _ROWS_TOP + pitch * len(rows)

    def x(moment: float) -> float:
        return _LEFT + (moment - begin) / seconds * (_WIDTH - _LEFT - _RIGHT)

    bare, _ = exposed(stored)
    parts = [
        _axis(seconds, begin, x, bottom),
        _group_bands(rows, pitch),
        joined(_block("bare", x(start), x(end), _ROWS_TOP - 4, bottom - _ROWS_TOP + 4, "") for start, end in bare),
        _lane("decode", "generator", 6, decoding(stored), x),
        _lane("run", "tools", 8 + _LANE, outstanding(stored), x),
        *(_row(trajectory, _ROWS_TOP + number * pitch, pitch, begin, x) for number, trajectory in enumerate(rows)),
    ]
    svg = tag("svg", *parts, viewBox=f"0 0 {_WIDTH} {bottom + 26:.0f}", role="img", aria_label="timeline of one step")
    legend = tag("span", *(tag("i", escape(title), class_=f"k-{kind}") for kind, title in _KINDS), class_="legend")
    return tag("figure", tag("figcaption", legend), svg, class_="timeline")


def _ordered(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    ends: dict[str, float] = {}
    for each in trajectories:
        ends[each.group] = max(ends.get(each.group, each.ended), each.ended)
    return sorted(trajectories, key=lambda each: (ends[each.group], each.group, each.flow))


def _axis(seconds: float, begin: float, x: _Place, bottom: float) -> str:
    parts = []
    for tick in nice_ticks(0, seconds, 8):
        if tick <= seconds:
            at = f"{x(begin + tick):.1f}"
            parts.append(f'<line class="grid" x1="{at}" x2="{at}" y1="{_ROWS_TOP - 4}" y2="{bottom:.0f}"/>')
            parts.append(f'<text class="tick" x="{at}" y="{bottom + 16:.0f}" text-anchor="middle">{tick:g} s</text>')
    return joined(parts)


def _group_bands(rows: Sequence[Trajectory], pitch: float) -> str:
    """A faint band under every other group, and the family at its side."""
    parts: list[str] = []
    first = 0
    for number in range(1, len(rows) + 1):
        if number < len(rows) and rows[number].group == rows[first].group:
            continue
        top, height = _ROWS_TOP + first * pitch, (number - first) * pitch
        if len(parts) % 2 == 0:
            parts.append(f'<rect class="band" x="0" width="{_WIDTH}" y="{top:.1f}" height="{height:.1f}"/>')
        else:
            parts.append("")
        first = number
        if height >= 11:
            family = escape(rows[number - 1].task.family)
            parts[-1] += f'<text class="tick" x="4" y="{top + height / 2:.1f}" dy="3.5">{family}</text>'
    return joined(parts)


def _lane(kind: str, title: str, top: int, busy: Sequence[Interval], x: _Place) -> str:
    """A row above all: when the generator, or the tools, had something to do."""
    parts = [f'<text class="tick lane" x="4" y="{top + _LANE / 2 - 2:.0f}" dy="3.5">{title}</text>']
    for start, end in busy:
        text = f"{title} busy for {_duration(end - start)}"
        parts.append(_block(kind, x(start), x(end), top, _LANE - 4, text))
    return joined(parts)


def _row(trajectory: Trajectory, top: float, pitch: float, begin: float, x: _Place) -> str:
    mark = "right" if trajectory.correct else "wrong"
    parts = [f'<rect class="mark {mark}" x="{_LEFT - 8}" width="4" y="{top:.1f}" height="{pitch - 1:.1f}"/>']
    for span in spans(trajectory):
        when = f"{_duration(span.end - span.start)} at {span.start - begin:.3f} s"
        text = f"{trajectory.flow}\n{span.text}\n{when}"
        parts.append(_block(span.kind, x(span.start), x(span.end), top, pitch - 1, text))
    return joined(parts)


def _block(kind: str, left: float, right: float, top: float, height: float, text: str) -> str:
    """A rectangle at least a pixel wide; ``text`` is what the page's script shows under the pointer."""
    width = max(1.0, right - left)
    said = f' data-say="{escape(text)}"' if text else ""
    return f'<rect class="k-{kind}" x="{left:.1f}" width="{width:.1f}" y="{top:.1f}" height="{height:.1f}"{said}/>'


def _difference(intervals: Sequence[Interval], without: Sequence[Interval]) -> list[Interval]:
    """The time of one union that is not in another."""
    left = []
    for start, end in intervals:
        for cut_start, cut_end in without:
            if cut_end <= start or cut_start >= end:
                continue
            if cut_start > start:
                left.append((start, cut_start))
            start = cut_end
        if start < end:
            left.append((start, end))
    return left


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.2f} s"
