"""The figures of one rollout, and its makespan against tools that take no time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vista_fast.rollout.generator import JOIN_EVERY, DecodeSpan
from vista_fast.rollout.replay import StepCost, makespan_without_tools
from vista_fast.rollout.timeline import call_times, exposure, makespan, union
from vista_fast.types import Trajectory


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
    seen, took = exposure(spans, trajectories), makespan(trajectories)
    calls = [turn.call for trajectory in trajectories for turn in trajectory.turns if turn.call is not None]
    sampled = sum(len(turn.token_ids) for trajectory in trajectories for turn in trajectory.turns)
    cost = StepCost.fit(spans, union(call_times(trajectories)))
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
