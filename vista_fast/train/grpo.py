"""GRPO: play groups of rollouts, compare them, take one step; again."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from vista_fast.errors import AbortedError
from vista_fast.protocol import system_prompt
from vista_fast.rollout import (
    ChatTemplate,
    Preprocessor,
    RolloutConfig,
    RolloutSummary,
    Sampling,
    TransformersGenerator,
    rollout,
    summarize,
)
from vista_fast.rollout.activity import engine_activity
from vista_fast.rollout.generator import DecodeSpan
from vista_fast.tools import Toolbox
from vista_fast.train.checkpoint import TrainState
from vista_fast.train.config import GrpoConfig, PolicyConfig
from vista_fast.train.loss import LossParts, LossSettings, group_advantages, grpo_loss
from vista_fast.train.memory import trim_heap
from vista_fast.train.metrics import GrpoMetrics
from vista_fast.train.policy import Batch, Sample, Scores, collate, score, vision_settings
from vista_fast.types import Dataset, Trajectory


@dataclass(frozen=True, slots=True)
class Step:
    """What one step of GRPO did."""

    metrics: GrpoMetrics
    trajectories: tuple[Trajectory, ...]
    spans: tuple[DecodeSpan, ...]


@dataclass(frozen=True, slots=True)
class Scored:
    """A trajectory with what the loss needs of it.

    ``sampled``: the sampler's log-probability of each sampled id. ``versions``: the weights that sampled it.
    ``in_call``: whether it lies within a tool call.
    """

    group: str
    sample: Sample
    advantage: float
    sampled: tuple[float, ...]
    versions: tuple[int, ...]
    in_call: tuple[bool, ...]


@dataclass(slots=True)
class _Update:
    """Figures of one update, summed over its micro-batches; ``first`` ones only over the first pass."""

    loss: float = 0.0
    kl: float = 0.0
    clipped: float = 0.0
    weight: float = 0.0
    truncated: float = 0.0
    share: float = 0.0
    entropy: float = 0.0
    ids: int = 0
    call_entropy: float = 0.0
    calls: int = 0
    ratio_max: float = 0.0
    grad_norm: float = 0.0

    def add(self, scores: Scores, parts: LossParts, part: Sequence[Scored], rollouts: int, *, first_pass: bool) -> None:
        self.loss += float(parts.loss.detach())
        self.kl += parts.kl
        self.clipped += parts.clipped
        self.weight += parts.importance_mean
        self.truncated += parts.importance_truncated
        self.share += len(part) / rollouts
        if not first_pass:
            return
        entropy, sampled = scores.entropy.detach(), torch.tensor([value for item in part for value in item.sampled])
        in_call = torch.tensor([flag for item in part for flag in item.in_call])
        starts = in_call & ~torch.cat([torch.tensor([False]), in_call[:-1]])
        self.entropy += float(entropy.sum())
        self.ids += len(entropy)
        self.call_entropy += float(entropy[in_call].sum())
        self.calls += int(starts.sum())
        self.ratio_max = max(self.ratio_max, float((scores.logprobs.detach() - sampled).abs().max()))


class Grpo:
    """The loop over steps, around one policy whose weights the sampler and the trainer share.

    Args:
        state: policy, optimiser and data order; ``state.step`` counts what is done.
        dataset: the Tasks to learn from.
        toolbox: the tools.
        config, policy: settings.
        seed: of tasks and sampling; with the step's number it decides every draw.
        decode_threads: torch's threads while it decodes; None leaves torch its own number.
        reference: the policy that the KL term is taken against, when ``config.beta`` is not 0.
    """

    def __init__(
        self,
        state: TrainState,
        dataset: Dataset,
        toolbox: Toolbox,
        config: GrpoConfig,
        policy: PolicyConfig,
        *,
        seed: int,
        decode_threads: int | None = None,
        reference: Any = None,
    ) -> None:
        self.state = state
        self._dataset = dataset
        self._toolbox = toolbox
        self._config = config
        self._seed = seed
        self._decode_threads = decode_threads
        self._reference = reference
        self._template = ChatTemplate(state.tokenizer, merge_size=policy.merge_size)
        self._preprocessor = Preprocessor(toolbox.engine, vision_settings(policy))
        self._rollout = play_config(config, policy, toolbox)
        self._call_ids = state.tokenizer.convert_tokens_to_ids(["<tool_call>", "</tool_call>"])

    def run(self, on_step: Callable[[Step], None]) -> None:
        """Train from ``state.step`` to the last step; ``on_step`` is called after each."""
        state = self.state
        with TransformersGenerator(
            state.model, state.tokenizer, max_slots=64, threads=self._decode_threads
        ) as generator:
            generator.update_weights(self.state.step)
            while self.state.step < self._config.steps:
                on_step(self._step(generator))

    def _step(self, generator: TransformersGenerator) -> Step:
        started = time.monotonic()
        before = self._toolbox.engine.stats()
        trajectories = self._play(generator)
        check_played(trajectories)
        spans = generator.drain_spans()
        played = time.monotonic()
        scored = self.score_groups(trajectories)
        update = self.update(scored)
        self.state.step += 1
        generator.update_weights(self.state.step)
        trim_heap()
        summary = summarize(trajectories, spans, slots=generator.max_slots)
        batch = engine_activity(before, self._toolbox.engine.stats()).mean_batch
        metrics = self._metrics(
            trajectories, scored, update, summary, batch, (played - started, time.monotonic() - played)
        )
        return Step(metrics, tuple(trajectories), tuple(spans))

    def _play(self, generator: TransformersGenerator) -> list[Trajectory]:
        chosen = self.state.rng.sample(range(len(self._dataset)), self._config.tasks_per_step)
        tasks = [self._dataset[index] for index in chosen]
        seed = random.Random(f"{self._seed}/{self.state.step}").getrandbits(31)
        config = replace(self._rollout, seed=seed, label=f"{self.state.step}-")
        return asyncio.run(rollout(tasks, self._toolbox, generator, self._template, config))

    def score_groups(self, trajectories: Sequence[Trajectory]) -> list[Scored]:
        """The trajectories that have an advantage, with it: groups of equal rewards and lost trajectories drop out."""
        scored: list[Scored] = []
        for _, members in groupby(trajectories, key=lambda trajectory: trajectory.group):
            group = list(members)
            rewards = [None if t.reward is None or t.status == "lost" else t.reward.total for t in group]
            for trajectory, advantage in zip(group, group_advantages(rewards), strict=True):
                if advantage:
                    scored.append(self._scored(trajectory, advantage))
        return scored

    def _scored(self, trajectory: Trajectory, advantage: float) -> Scored:
        images = self._preprocessor.patches_now(trajectory.images)
        kept = [index for index, mask in enumerate(trajectory.mask) if mask]
        versions = tuple(turn.weight_version for turn in trajectory.turns for _ in turn.token_ids)
        inside, in_call = False, []
        for index in kept:
            token = trajectory.ids[index]
            inside = (inside or token == self._call_ids[0]) and token != self._call_ids[1]
            in_call.append(inside)
        return Scored(
            trajectory.group,
            Sample(trajectory.ids, trajectory.mask, images),
            advantage,
            tuple(trajectory.logprobs[index] for index in kept),
            versions,
            tuple(in_call),
        )

    def update(self, scored: Sequence[Scored]) -> _Update:
        """One optimiser step per pass over the scored trajectories; their number is what the group means divide by."""
        config, rollouts = self._config, self._config.tasks_per_step * self._config.group
        update = _Update()
        ordered = sorted(scored, key=lambda item: len(item.sample.ids))
        parts = [ordered[first : first + config.micro_batch] for first in range(0, len(ordered), config.micro_batch)]
        proximal: dict[int, Tensor] = {}
        for number in range(config.updates if parts else 0):
            for index, part in enumerate(parts):
                batch = self._collate(part)
                scores = self._scores(self.state.model, batch)
                proximal.setdefault(index, scores.logprobs.detach())
                loss = self._loss(part, batch, scores, proximal[index], rollouts)
                loss.loss.backward()  # type: ignore[no-untyped-call]
                update.add(scores, loss, part, rollouts, first_pass=number == 0)
            update.grad_norm = float(torch.nn.utils.clip_grad_norm_(self.state.model.parameters(), config.grad_norm))
            self.state.optimiser.step(min(1.0, (self.state.step + 1) / config.warmup_steps))
        return update

    def _loss(self, part: Sequence[Scored], batch: Batch, scores: Scores, proximal: Tensor, rollouts: int) -> LossParts:
        """The loss of a micro-batch. Ids of older weights have their ratio taken against the weights before this
        step's first update (``proximal``), and an importance weight for the rest of the way to their sampler."""
        config = self._config
        sampled = torch.tensor([value for item in part for value in item.sampled])
        stale = torch.tensor([version != self.state.step for item in part for version in item.versions])
        reference = None
        if config.beta and self._reference is not None:
            with torch.no_grad():
                reference = self._scores(self._reference, batch).logprobs
        return grpo_loss(
            scores.logprobs,
            torch.where(stale, proximal, sampled),
            torch.tensor([item.advantage for item in part])[scores.rows],
            scores.rows,
            scores.entropy,
            LossSettings(config.clip, config.beta, config.entropy, config.importance_cap),
            rollouts=rollouts,
            reference=reference,
            behaviour=sampled,
        )

    def _collate(self, part: Sequence[Scored]) -> Batch:
        return collate(
            [item.sample for item in part],
            image_id=self._template.image_id,
            pad_id=self.state.tokenizer.pad_token_id,
        )

    def _scores(self, model: Any, batch: Batch) -> Scores:
        return score(model, batch, temperature=self._config.temperature, forbidden=self._template.forbidden_ids)

    def _metrics(
        self,
        trajectories: Sequence[Trajectory],
        scored: Sequence[Scored],
        update: _Update,
        summary: RolloutSummary,
        mean_batch: float,
        seconds: tuple[float, float],
    ) -> GrpoMetrics:
        kept = [trajectory for trajectory in trajectories if trajectory.reward is not None]
        rewards = [trajectory.reward for trajectory in kept if trajectory.reward is not None]
        groups = len({trajectory.group for trajectory in trajectories})
        advantaged = len({item.group for item in scored})
        share = update.share or 1.0
        return GrpoMetrics(
            step=self.state.step,
            steps=self._config.steps,
            reward=_mean([reward.total for reward in rewards]),
            accuracy=_mean([trajectory.correct for trajectory in kept]),
            format_rate=_mean([reward.format > 0 for reward in rewards]),
            turns=_mean([len(trajectory.turns) for trajectory in kept]),
            trajectories=len(trajectories),
            skipped_groups=groups - advantaged,
            lost=summary.lost,
            loss=update.loss / max(1, self._config.updates),
            grad_norm=update.grad_norm,
            kl=update.kl / share,
            entropy=update.entropy / max(1, update.ids),
            choice_entropy=update.call_entropy / max(1, update.calls),
            clipped=update.clipped / share,
            ratio_max=update.ratio_max,
            importance_mean=update.weight / share if update.share else 1.0,
            importance_truncated=update.truncated / share,
            weight_version=self.state.step,
            calls=summary.tool_calls,
            calls_per_second=summary.calls_per_second,
            mean_batch=mean_batch,
            cache_hits=summary.calls_cached,
            flight_joins=summary.calls_joined,
            exposed=summary.exposed_latency,
            makespan_ratio=summary.makespan_ratio,
            rollout_seconds=seconds[0],
            update_seconds=seconds[1],
            families=family_accuracy(kept),
        )


def play_config(config: GrpoConfig, policy: PolicyConfig, toolbox: Toolbox) -> RolloutConfig:
    """How the small policy plays: short turns under the compact system prompt."""
    return RolloutConfig(
        group_size=config.group,
        max_turns=config.max_turns,
        max_context=policy.context,
        sampling=Sampling(max_tokens=config.max_new_tokens, temperature=config.temperature),
        vision=vision_settings(policy),
        system=system_prompt(toolbox.schemas(), "compact"),
        barrier=config.barrier,
    )


def check_played(trajectories: Sequence[Trajectory]) -> None:
    """Raises AbortedError when infrastructure lost every trajectory: there is nothing to learn from, or to measure."""
    lost = [trajectory for trajectory in trajectories if trajectory.status == "lost"]
    if lost and len(lost) == len(trajectories):
        raise AbortedError(f"all {len(lost)} trajectories were lost, the first one to {lost[0].error}")


def family_accuracy(trajectories: Sequence[Trajectory]) -> dict[str, float]:
    """Share of correct trajectories in each family."""
    families = sorted({trajectory.task.family for trajectory in trajectories})
    return {
        family: _mean([trajectory.correct for trajectory in trajectories if trajectory.task.family == family])
        for family in families
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
