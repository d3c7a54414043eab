"""What a rollout's wall time was spent on: exposed latency, and the makespan against tools that take no time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vista_fast.rollout.generator import JOIN_EVERY, DecodeSpan
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
    outstanding = union(_calls(trajectories))
    total = length(outstanding)
    return Exposure(total, total - overlap(busy, outstanding))


def makespan(trajectories: Sequence[Trajectory]) -> float:
    """Seconds from the first trajectory's start to the last one's end."""
    if not trajectories:
        return 0.0
    return max(t.ended for t in trajectories) - min(t.started for t in trajectories)


def decoded_rows(spans: Iterable[DecodeSpan]) -> float:
    """Mean number of sequences that a decode step advanced."""
    rows = [span.rows for span in spans if span.kind == "decode"]
    return sum(rows) / len(rows) if rows else 0.0


@dataclass(frozen=True, slots=True)
class RolloutSummary:
    """The figures of one rollout. Seconds, and counts per second of its makespan.

    ``makespan_without_tools`` is the replay of the same trajectories with tools that take no time.
    """

    trajectories: int
    lost: int
    tool_calls: int
    calls_per_second: float
    calls_joined: int
    calls_cached: int
    mean_decode_rows: float
    tokens_per_second: float
    outstanding: float
    exposed: float
    exposed_latency: float
    makespan: float
    makespan_without_tools: float

    @property
    def makespan_ratio(self) -> float:
        """Makespan over that without tools."""
        return self.makespan / self.makespan_without_tools if self.makespan_without_tools > 0 else 1.0


def summarize(
    trajectories: Sequence[Trajectory],
    spans: Sequence[DecodeSpan],
    *,
    slots: int,
    join_every: int = JOIN_EVERY,
    max_concurrent: int | None = None,
) -> RolloutSummary:
    """The figures of a rollout from its trajectories and its generator's spans (``Generator.drain_spans``)."""
    from vista_fast.rollout.replay import StepCost, makespan_without_tools

    seen, took = exposure(spans, trajectories), makespan(trajectories)
    calls = [turn.call for trajectory in trajectories for turn in trajectory.turns if turn.call is not None]
    sampled = sum(len(turn.token_ids) for trajectory in trajectories for turn in trajectory.turns)
    cost = StepCost.fit(spans, union(_calls(trajectories)))
    return RolloutSummary(
        trajectories=len(trajectories),
        lost=sum(trajectory.status == "lost" for trajectory in trajectories),
        tool_calls=len(calls),
        calls_per_second=len(calls) / took if took > 0 else 0.0,
        calls_joined=sum(call.outcome == "joined" for call in calls),
        calls_cached=sum(call.outcome == "cached" for call in calls),
        mean_decode_rows=decoded_rows(spans),
        tokens_per_second=sampled / took if took > 0 else 0.0,
        outstanding=seen.outstanding,
        exposed=seen.exposed,
        exposed_latency=seen.share,
        makespan=took,
        makespan_without_tools=makespan_without_tools(
            trajectories, slots=slots, cost=cost, join_every=join_every, max_concurrent=max_concurrent
        ),
    )


def _calls(trajectories: Iterable[Trajectory]) -> list[Interval]:
    calls = [turn.call for trajectory in trajectories for turn in trajectory.turns if turn.call is not None]
    return [(call.submitted, call.completed) for call in calls]
