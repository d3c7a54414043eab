"""Held-out evaluation: accuracy and mean reward of a policy, with tools and without."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from vista_fast.rollout import ChatTemplate, RolloutConfig, Sampling, TransformersGenerator, rollout
from vista_fast.tools import Toolbox
from vista_fast.train.config import TrainConfig
from vista_fast.train.grpo import check_played, family_accuracy, play_config
from vista_fast.train.metrics import EvalMetrics
from vista_fast.train.teacher import WITHOUT_TOOLS
from vista_fast.train.threads import split_threads
from vista_fast.types import Task, Trajectory

FORCED_ANSWER = "<think></think><answer>"
"""What a policy without tools is made to start its turn with."""


def evaluate(
    name: str,
    model: Any,
    tokenizer: Any,
    tasks: Sequence[Task],
    toolbox: Toolbox,
    config: TrainConfig,
    *,
    temperature: float,
    tools: bool = True,
) -> tuple[EvalMetrics, list[Trajectory]]:
    """Play every Task once and measure.

    ``temperature`` 0 is greedy. Without ``tools`` the prompt names none and the turn starts with an open answer, so
    that every Task gets an answer.
    """
    started = time.monotonic()
    template = ChatTemplate(tokenizer, merge_size=config.policy.merge_size)
    play = _play_config(config, toolbox, temperature, tools)
    threads = split_threads(config.threads).decoding
    with TransformersGenerator(model, tokenizer, max_slots=64, threads=threads) as generator:
        trajectories = asyncio.run(rollout(tasks, toolbox, generator, template, play))
    check_played(trajectories)
    kept = [trajectory for trajectory in trajectories if trajectory.reward is not None]
    count = max(1, len(kept))
    metrics = EvalMetrics(
        policy=name,
        tools=tools,
        temperature=temperature,
        tasks=len(trajectories),
        accuracy=sum(trajectory.correct for trajectory in kept) / count,
        reward=sum(trajectory.reward.total for trajectory in kept if trajectory.reward is not None) / count,
        lost=len(trajectories) - len(kept),
        seconds=time.monotonic() - started,
        families=family_accuracy(kept),
    )
    return metrics, trajectories


def _play_config(config: TrainConfig, toolbox: Toolbox, temperature: float, tools: bool) -> RolloutConfig:
    play = play_config(config.grpo, config.policy, toolbox)
    sampling = Sampling(max_tokens=config.grpo.max_new_tokens, temperature=temperature)
    play = replace(play, group_size=1, sampling=sampling, seed=config.seed, max_concurrent=_AT_ONCE, barrier=False)
    return play if tools else replace(play, tools=False, system=WITHOUT_TOOLS, forced_prefix=FORCED_ANSWER)


_AT_ONCE = 128
"""Trajectories under way: twice the decoding slots, so that tools are hidden behind decoding."""
