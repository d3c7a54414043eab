"""Supervised fine-tuning: the corpus of demonstrations, and the loop over it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from vista_fast.devices import DeviceTensor
from vista_fast.rollout.generator import Patches
from vista_fast.rollout.template import ChatTemplate
from vista_fast.rollout.vision import Preprocessor
from vista_fast.tasks.mini import load
from vista_fast.train.checkpoint import TrainState
from vista_fast.train.config import SftConfig, TrainConfig
from vista_fast.train.memory import trim_heap
from vista_fast.train.metrics import SftMetrics
from vista_fast.train.policy import Sample, collate, score, vision_settings
from vista_fast.train.teacher import Demonstration, describe, guess, lay_out, play_all, repeat

if TYPE_CHECKING:
    from vista_fast.tools import Toolbox

_QUESTIONS = 3
"""Questions asked of one picture."""

_DESCRIBED = ((0.4, 0.7), (1.0, 0.2))
"""Share of descriptions among the short demonstrations up to a share of the first phase: first seeing, then
finding."""

_SHORT_EVERY = 3
"""In the second phase every so many steps a batch is of short demonstrations: seeing is not forgotten, copying is
drilled."""

_REPEATED_EARLY = 0.15
"""Share of repetitions in the first phase."""

_REPEATED, _DESCRIBED_LATE = 0.4, 0.18
"""Shares of repetitions and of descriptions in such a batch; the others answer questions without tools."""

_TRIM_EVERY = 10
"""Steps between two returns of free memory."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Demonstrations by what they teach; ``guesses`` are grouped by picture in the order of ``descriptions``."""

    descriptions: tuple[Demonstration, ...]
    guesses: tuple[Demonstration, ...]
    plays: tuple[Demonstration, ...]

    @property
    def texts(self) -> list[str]:
        """All text in it, and one repetition."""
        return repeat(random.Random(0)).texts + [
            text for part in (self.descriptions, self.guesses, self.plays) for item in part for text in item.texts
        ]


def build_corpus(config: TrainConfig, toolbox: Toolbox, on_done: Callable[[], None] = lambda: None) -> Corpus:
    """Draw the pictures, see them as the policy does, and play the teacher's episodes over the real tools.

    A function of ``config`` alone. ``on_done`` is called once per picture and once per episode.
    """
    settings, sft = vision_settings(config.policy), config.sft
    preprocessor = Preprocessor(toolbox.engine, settings)
    rng = random.Random(f"corpus/{config.seed}")
    descriptions: list[Demonstration] = []
    guesses: list[Demonstration] = []
    tasks = load("sft", size=sft.pictures * _QUESTIONS, seed=config.seed, questions_per_image=_QUESTIONS)
    for first in range(0, len(tasks), _QUESTIONS):
        asked = [tasks[index] for index in range(first, first + _QUESTIONS)]
        images = _compact(preprocessor.patches_now([toolbox.engine.image(source) for source in asked[0].images]))
        descriptions.append(describe(asked[0], images))
        guesses += [guess(task, images, rng) for task in asked]
        on_done()
    played = load("sft", size=sft.plays, seed=config.seed + 1)
    plays = asyncio.run(
        play_all(
            [played[i] for i in range(len(played))], toolbox, preprocessor, sft.teacher, config.seed, on_done=on_done
        )
    )
    return Corpus(tuple(descriptions), tuple(guesses), tuple(_compact_demonstration(play) for play in plays))


def run_sft(
    state: TrainState,
    corpus: Corpus,
    template: ChatTemplate,
    config: SftConfig,
    *,
    on_step: Callable[[SftMetrics], None],
) -> None:
    """Train ``state.model`` from ``state.step`` to the last step; ``on_step`` is called after each.

    Matrix products run in bf16 (autocast), weights and optimiser in fp32.
    """
    draw = _Draw(corpus, template, config)
    state.model.train()
    while state.step < config.steps:
        started = time.monotonic()
        batch = collate(
            draw.batch(state.step, state.rng), image_id=template.image_id, pad_id=state.tokenizer.pad_token_id
        )
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores = score(state.model, batch)
        loss = -scores.logprobs.mean()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(state.model.parameters(), config.grad_norm)
        scale = _schedule(state.step, config)
        state.optimiser.step(scale)
        state.step += 1
        if state.step % _TRIM_EVERY == 0:
            trim_heap()
        on_step(
            SftMetrics(
                step=state.step,
                steps=config.steps,
                loss=float(loss.detach()),
                token_accuracy=float(scores.best.float().mean()),
                lr=state.optimiser.lr * scale,
                seconds=time.monotonic() - started,
            )
        )
    state.model.eval()


class _Draw:
    """Which demonstrations make up a step's batch; each is laid out once."""

    def __init__(self, corpus: Corpus, template: ChatTemplate, config: SftConfig) -> None:
        self._corpus = corpus
        self._template = template
        self._config = config
        self._samples: dict[int, Sample] = {}

    def batch(self, step: int, rng: random.Random) -> list[Sample]:
        config = self._config
        if step < config.look_steps:
            described = next(share for until, share in _DESCRIBED if step < until * config.look_steps)
            return [self._drill(rng, _REPEATED_EARLY, described) for _ in range(config.look_batch)]
        if step % _SHORT_EVERY:
            return [self._one_of(self._corpus.plays, rng) for _ in range(config.play_batch)]
        described = _DESCRIBED_LATE / (1 - _REPEATED)
        return [self._drill(rng, _REPEATED, described) for _ in range(config.look_batch)]

    def _drill(self, rng: random.Random, repeated: float, described: float) -> Sample:
        """A repetition, or else a description, or else an answer without tools, by their shares."""
        if rng.random() < repeated:
            return lay_out(repeat(rng), self._template)
        return self._one_of(self._corpus.descriptions if rng.random() < described else self._corpus.guesses, rng)

    def _one_of(self, demonstrations: Sequence[Demonstration], rng: random.Random) -> Sample:
        demonstration = rng.choice(demonstrations)
        key = id(demonstration)
        if key not in self._samples:
            self._samples[key] = lay_out(demonstration, self._template)
        return self._samples[key]


def _schedule(step: int, config: SftConfig) -> float:
    """Share of the learning rate: up at the start, down to zero over the second phase's last part, all linear."""
    up = (step + 1) / (config.warmup * config.steps)
    down = (config.steps - step) / (config.decay * config.play_steps)
    return min(1.0, up, down)


def _compact(images: Sequence[Patches]) -> tuple[Patches, ...]:
    """The same patches in half the memory (float16 resolves more than the 256 levels they come from), free of the
    engine."""
    return tuple(replace(image, values=np.asarray(_on_host(image), dtype=np.float16), image=None) for image in images)


def _on_host(image: Patches) -> npt.NDArray[np.float32]:
    return image.values.to_host() if isinstance(image.values, DeviceTensor) else image.values


def _compact_demonstration(demonstration: Demonstration) -> Demonstration:
    turns = tuple(replace(turn, images=_compact(turn.images)) for turn in demonstration.turns)
    return replace(demonstration, images=_compact(demonstration.images), turns=turns)


def corpus_size(config: SftConfig) -> int:
    """How often ``build_corpus`` calls ``on_done``."""
    return config.pictures + config.plays


def new_state(model: Any, tokenizer: Any, optimiser: Any, seed: int) -> TrainState:
    """A stage that has not begun."""
    return TrainState(0, model, tokenizer, optimiser, random.Random(seed))
