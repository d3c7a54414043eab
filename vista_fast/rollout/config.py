"""How Tasks are played."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vista_fast.errors import InvalidArgumentError
from vista_fast.rewards import Scheme
from vista_fast.rollout.generator import Sampling
from vista_fast.rollout.vision import VisionSettings

if TYPE_CHECKING:
    from vista_fast._core import Image
    from vista_fast.types import SeenImage


@dataclass(frozen=True, slots=True)
class RolloutConfig:
    """How Tasks are played.

    Args:
        group_size: rollouts per Task (G).
        max_turns: turns per episode; a call in the last one is not made.
        max_context: ids that a context may hold, prompt and all. An observation that does not fit is left out whole.
        sampling: how each turn is drawn; ``max_tokens`` counts per turn, ``seed``, ``end_ids`` and ``forbidden_ids``
            are filled in.
        vision: the policy's image processor.
        system: the system prompt; None takes the protocol's, "" leaves it to the chat template.
        scheme: the reward's scheme.
        max_concurrent: trajectories under way at once; None starts all.
        barrier: make all tools of a round wait for the whole round, and the next round for all tools (to compare).
        tools: False plays without tools, in one turn, on a prompt that names none.
        forced_prefix: text that the (first) turn starts with, not sampled; with ``tools=False`` it forces an answer.
        deadline: seconds that a tool call may take; a later one loses the trajectory. None: the tools' own limits.
        priority: of the trajectories' calls in the engine.
        expect: tell the engine, while a turn decodes, that its calls may come soon.
        prefetch: start reading the Tasks' images before they are asked for.
        place: what puts a Task's image where tools and policy are to work on it, such as ``DeviceStore.put``; None
            leaves it on the host.
        seed: with the Task's id, the rollout's number and the turn, decides every draw.
        label: prefix of groups and flows, to tell rollouts that run at the same time apart.
    """

    group_size: int = 8
    max_turns: int = 3
    max_context: int = 4096
    sampling: Sampling = field(default_factory=Sampling)
    vision: VisionSettings = field(default_factory=VisionSettings)
    system: str | None = None
    scheme: Scheme = "paper"
    max_concurrent: int | None = None
    barrier: bool = False
    tools: bool = True
    forced_prefix: str = ""
    deadline: float | None = None
    priority: int = 0
    expect: bool = True
    prefetch: bool = False
    place: Callable[[Image], SeenImage] | None = None
    seed: int = 0
    label: str = ""

    def __post_init__(self) -> None:
        for name in ("group_size", "max_turns", "max_context", "max_concurrent"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidArgumentError(f"RolloutConfig.{name} is {value}; give at least 1")
