"""What a training run is set to: frozen records, and the presets that the command line offers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from vista_fast.errors import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class PolicyConfig:
    """Sizes of a small policy of the Qwen2.5-VL class.

    ``image_side``: every image is seen at about side² pixels. ``rope_theta`` is small because contexts are short: with
    10,000 the slow frequencies that multimodal rotary positions give to width could not tell neighbouring columns
    apart.
    """

    text_width: int = 192
    text_layers: int = 4
    text_heads: int = 6
    text_feed_forward: int = 512
    vision_width: int = 128
    vision_layers: int = 2
    vision_heads: int = 4
    vision_feed_forward: int = 256
    patch_size: int = 14
    merge_size: int = 2
    temporal_patch_size: int = 2
    image_side: int = 112
    rope_theta: float = 20.0
    vocabulary: int = 2048
    context: int = 512


@dataclass(frozen=True, slots=True)
class SftConfig:
    """Supervised fine-tuning on a teacher's demonstrations, in two phases.

    First ``look_steps`` on short demonstrations that say what is where in ``pictures`` pictures, then ``play_steps``
    on whole episodes with tools, played on ``plays`` of them. ``teacher`` "habit" states the true rationale but
    mostly looks at the first region, and takes the tool at random; "oracle" takes the right ones. ``warmup`` is a
    share of all steps, ``decay`` one of the second phase's; ``grad_norm`` is the gradient's largest norm.
    """

    teacher: Literal["habit", "oracle"] = "habit"
    pictures: int = 4800
    plays: int = 2400
    look_steps: int = 900
    look_batch: int = 64
    play_steps: int = 450
    play_batch: int = 32
    lr: float = 2e-3
    warmup: float = 0.03
    decay: float = 0.5
    grad_norm: float = 1.0
    checkpoint_every: int = 50

    @property
    def steps(self) -> int:
        """Steps of both phases."""
        return self.look_steps + self.play_steps


@dataclass(frozen=True, slots=True)
class GrpoConfig:
    """Group relative policy optimisation (Shao et al. 2024, arXiv 2402.03300), on-policy by default.

    ``clip`` is the epsilon of the ratio's clip, ``beta`` the weight of the KL term against the start (0: no reference
    is kept), ``entropy`` the weight of the entropy bonus on sampled ids, ``updates`` the optimiser steps per batch of
    rollouts, ``importance_cap`` the truncation of importance weights of stale samples, ``grad_norm`` the gradient's
    largest norm. ``train_tasks`` is small because every picture that comes again finds its texts read already.
    ``barrier`` makes rollouts wait for each other after every turn (kept for comparison).
    """

    steps: int = 60
    tasks_per_step: int = 16
    group: int = 8
    temperature: float = 1.0
    lr: float = 3e-4
    warmup_steps: int = 5
    clip: float = 0.2
    beta: float = 0.0
    entropy: float = 1e-3
    updates: int = 1
    micro_batch: int = 32
    importance_cap: float = 2.0
    grad_norm: float = 1.0
    max_turns: int = 3
    max_new_tokens: int = 64
    train_tasks: int = 256
    barrier: bool = False
    checkpoint_every: int = 10


@dataclass(frozen=True, slots=True)
class EvalConfig:
    """Held-out evaluation. ``temperatures`` are those at which each policy plays with tools; 0 is greedy."""

    tasks: int = 402
    temperatures: tuple[float, ...] = (1.0, 0.0)


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Everything that ``vista-fast train`` and ``vista-fast sft`` are set to.

    ``start`` is the folder of the weights that GRPO starts from; None takes the shipped ones. ``threads`` None takes
    all usable cores.
    """

    preset: str = "tiny"
    seed: int = 0
    threads: int | None = None
    start: str | None = None
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    sft: SftConfig = field(default_factory=SftConfig)
    grpo: GrpoConfig = field(default_factory=GrpoConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)

    def to_dict(self) -> dict[str, Any]:
        """The whole configuration as plain JSON values."""
        return dataclasses.asdict(self)


def _ci() -> TrainConfig:
    return TrainConfig(
        preset="ci",
        sft=SftConfig(
            pictures=48, plays=24, look_steps=10, look_batch=16, play_steps=10, play_batch=8, checkpoint_every=5
        ),
        grpo=GrpoConfig(steps=4, tasks_per_step=6, group=4, train_tasks=24, checkpoint_every=2),
        eval=EvalConfig(tasks=24),
    )


PRESETS: dict[str, Callable[[], TrainConfig]] = {"tiny": TrainConfig, "ci": _ci}
"""``tiny`` is the main job; ``ci`` runs the same route, shortened."""


def preset(name: str, **changes: Any) -> TrainConfig:
    """The preset ``name`` with top-level fields replaced; an unknown name raises ``InvalidArgumentError``."""
    if name not in PRESETS:
        raise InvalidArgumentError(f"unknown preset {name!r}; choose one of {', '.join(sorted(PRESETS))}")
    return dataclasses.replace(PRESETS[name](), **changes)
