"""What a rollout's wall time was spent on: intervals of work and of calls, and the latency that stayed exposed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vista_fast.rollout.generator import DecodeSpan
from vista_fast.types import Trajectory

Interval = tuple[float, float]
"""Start and end in seconds, end not before start."""


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same points covered by intervals that are sorted, disjoint and not empty."""
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if end <= start:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def overlap(a: Sequence[Interval], b: Sequence[Interval]) -> float:
    """Seconds that two unions have in common."""
    total, i, j = 0.0, 0, 0
    while i < len(a) and j < len(b):
        total += max(0.0, min(a[i][1], b[j][1]) - max(a[i][0], b[j][0]))
        if a[i][1] < b[j][1]:
            i += 1
        else:
            j += 1
    return total


def length(intervals: Sequence[Interval]) -> float:
    """Seconds that a union covers."""
    return sum(end - start for start, end in intervals)


@dataclass(frozen=True, slots=True)
class Exposure:
    """How much of the tools' time the generator could not hide.

    ``outstanding``: seconds in which any call was outstanding. ``exposed``: those of them in which the generator had
    nothing to decode.
    """

    outstanding: float
    exposed: float

    @property
    def share(self) -> float:
        """Exposed latency: exposed over outstanding, 0 where no call was made."""
        return self.exposed / self.outstanding if self.outstanding > 0 else 0.0


def exposure(spans: Iterable[DecodeSpan], trajectories: Iterable[Trajectory]) -> Exposure:
    """Exposed latency of trajectories that were generated with these spans of work."""
    busy = union((span.started, span.ended) for span in spans)
    outstanding = union(call_times(trajectories))
    total = length(outstanding)
    return Exposure(total, total - overlap(busy, outstanding))


def makespan(trajectories: Sequence[Trajectory]) -> float:
    """Seconds from the first trajectory's start to the last one's end."""
    if not trajectories:
        return 0.0
    return max(t.ended for t in trajectories) - min(t.started for t in trajectories)


def call_times(trajectories: Iterable[Trajectory]) -> list[Interval]:
    """When each call was outstanding, submission to completion."""
    calls = [turn.call for trajectory in trajectories for turn in trajectory.turns if turn.call is not None]
    return [(call.submitted, call.completed) for call in calls]
