"""What a training run reports while it goes: plain records that progress bars, the run folder and the report read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from vista_fast.rollout.generator import DecodeSpan
from vista_fast.types import Trajectory


@dataclass(frozen=True, slots=True)
class CorpusProgress:
    """How many of the pictures and episodes that SFT learns from are made."""

    step: int
    steps: int


@dataclass(frozen=True, slots=True)
class SftMetrics:
    """One step of SFT: mean loss per token (nats), share of masked ids that are the most likely id, seconds."""

    step: int
    steps: int
    loss: float
    token_accuracy: float
    lr: float
    seconds: float


@dataclass(frozen=True, slots=True)
class GrpoMetrics:
    """One step of GRPO. Means are over the step's trajectories that were not lost; times are seconds.

    ``skipped_groups`` had equal rewards and so no advantage; ``lost`` trajectories are masked out. ``choice_entropy``
    is the entropy (nats) of a whole tool call: the ids that choose tool and region, which the mean ``entropy`` per id
    hides. ``ratio_max`` is the largest |ln ratio| between trainer and sampler before the first update;
    ``importance_mean`` and ``importance_truncated`` describe the importance weights of stale samples (1 and 0 when
    the samples are on-policy). ``exposed`` is the share of the time in which any call was outstanding that the
    generator had nothing to decode, ``makespan_ratio`` the rollout's makespan over that of its replay with tools that
    take no time; ``calls_per_second``, ``mean_batch``, ``cache_hits`` and ``flight_joins`` are of
    this step's tool calls.
    """

    step: int
    steps: int
    reward: float
    accuracy: float
    format_rate: float
    turns: float
    trajectories: int
    skipped_groups: int
    lost: int
    loss: float
    grad_norm: float
    kl: float
    entropy: float
    choice_entropy: float
    clipped: float
    ratio_max: float
    importance_mean: float
    importance_truncated: float
    weight_version: int
    calls: int
    calls_per_second: float
    mean_batch: float
    cache_hits: int
    flight_joins: int
    exposed: float
    makespan_ratio: float
    rollout_seconds: float
    update_seconds: float
    families: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EvalMetrics:
    """Held-out accuracy and mean reward of one policy in one setting; ``families`` maps a family to its accuracy."""

    policy: str
    tools: bool
    temperature: float
    tasks: int
    accuracy: float
    reward: float
    lost: int
    seconds: float
    families: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """A checkpoint was written whole at ``path`` after ``step`` steps of ``stage``."""

    stage: str
    step: int
    path: str


@dataclass(frozen=True, slots=True)
class StepTrajectories:
    """The trajectories of one GRPO step and the generator's spans of work, for the store and the timeline."""

    stage: str
    step: int
    trajectories: tuple[Trajectory, ...]
    spans: tuple[DecodeSpan, ...] = ()


Event: TypeAlias = CorpusProgress | SftMetrics | GrpoMetrics | EvalMetrics | CheckpointSaved | StepTrajectories
Listener: TypeAlias = Callable[[Event], None]
"""Called in the training thread, in order, with each event. It must not keep the trajectories' images alive for
long."""


def as_record(event: Event) -> dict[str, Any]:
    """The event as one JSON object for metrics.jsonl, with its kind under "event"; trajectories only by their
    number."""
    if isinstance(event, StepTrajectories):
        body: dict[str, Any] = {"stage": event.stage, "step": event.step, "trajectories": len(event.trajectories)}
    else:
        body = asdict(event)
    return {"event": type(event).__name__, **body}
