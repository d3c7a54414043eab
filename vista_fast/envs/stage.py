"""Stage: what environments play on (a dataset, a toolbox, the rules) and how episodes look to Gymnasium."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from vista_fast import tasks
from vista_fast.envs.episode import Episode, Step
from vista_fast.envs.loop import LoopThread
from vista_fast.envs.spaces import Pixels
from vista_fast.errors import AbortedError, DeadlineExceededError, EngineClosedError, InvalidArgumentError
from vista_fast.protocol import render_observation, render_question, system_prompt
from vista_fast.rewards import Scheme
from vista_fast.types import CallRecord, Dataset, SeenImage, on_host

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vista_fast.engine import Engine
    from vista_fast.tools import Toolbox


class Seen(TypedDict):
    """An environment's observation: text, and the images that are new with it."""

    text: str
    images: tuple[Pixels, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One turn as ``Env.step`` returns it."""

    seen: Seen
    reward: float
    terminated: bool
    truncated: bool
    info: dict[str, Any]


class Stage:
    """A dataset, the tools and the rules that one or many episodes share.

    Args:
        dataset: a Dataset, or the name of one for ``vista_fast.tasks.load``.
        toolbox: the tools; by default those of ``Toolbox.default`` with OCR, on an engine that the stage owns.
        ocr_side: the side in pixels at which that OCR looks at images; default ``OcrConfig``'s limits.
        tools: leave only these tools of the toolbox; () leaves the policy without any.
        max_turns, deadline: as ``Episode``.
        scheme: as ``vista_fast.rewards.reward``.
        options: go to ``vista_fast.tasks.load``.
    """

    def __init__(
        self,
        dataset: Dataset | str,
        *,
        toolbox: Toolbox | None = None,
        ocr_side: int | None = None,
        tools: Sequence[str] | None = None,
        max_turns: int = 3,
        deadline: float | None = None,
        scheme: Scheme = "paper",
        **options: Any,
    ) -> None:
        if not isinstance(dataset, str) and options:
            raise InvalidArgumentError(f"the options {', '.join(options)} are for a dataset given by name")
        self.dataset = tasks.load(dataset, **options) if isinstance(dataset, str) else dataset
        if len(self.dataset) == 0:
            raise InvalidArgumentError(f"the dataset {self.dataset.name!r} holds no task; give one that does")
        self.loop = LoopThread()
        self._toolbox = toolbox
        self._ocr_side = ocr_side
        self._engine: Engine | None = None
        self._tools = tools
        self._max_turns = max_turns
        self._deadline = deadline
        self._scheme = scheme
        self._numbers = itertools.count()

    def episode(self, index: int) -> Episode:
        """A new episode of the dataset's Task ``index``."""
        if not 0 <= index < len(self.dataset):
            raise InvalidArgumentError(f"there is no task {index}; the dataset has {len(self.dataset)}")
        task = self.dataset[index]
        toolbox = self._given_toolbox()
        images = [toolbox.engine.image(source) for source in task.images]
        return Episode(
            task,
            images,
            toolbox if toolbox.names else None,
            max_turns=self._max_turns,
            flow=f"{task.id}#{next(self._numbers)}",
            deadline=self._deadline,
        )

    def opening(self, episode: Episode) -> tuple[Seen, dict[str, Any]]:
        """What ``Env.reset`` returns: the question with its images; the info has the prompt that explains the rules."""
        info = {"task_id": episode.task.id, "system_prompt": system_prompt(self._given_toolbox().schemas())}
        return Seen(text=render_question(episode.task), images=pixels(episode.images)), info

    async def step(self, episode: Episode, text: str) -> Outcome:
        """Takes a turn. An expired or aborted call ends the episode as lost: truncated, without a score."""
        try:
            step = await episode.step(text)
        except (DeadlineExceededError, AbortedError, EngineClosedError) as error:
            info = {"status": episode.status, "call": None, "calls": calls(episode), "error": str(error)}
            return Outcome(Seen(text="", images=()), 0.0, False, True, info)
        return self._outcome(episode, step)

    def close(self) -> None:
        """Stops the stage's own loop and engine; a toolbox that was given stays open. May be called again."""
        self.loop.close()
        if self._engine is not None:
            self._engine.close()
            self._engine = self._toolbox = None

    def _outcome(self, episode: Episode, step: Step) -> Outcome:
        info: dict[str, Any] = {"status": step.status, "call": step.call, "violations": step.parsed.violations}
        if step.observation is not None:
            seen = Seen(text=render_observation(step.observation), images=pixels(step.observation.images))
            return Outcome(seen, 0.0, False, False, info)
        score = episode.score(self._scheme)
        info |= {"calls": calls(episode), "answer": episode.answer, "correct": episode.correct, "reward": score}
        truncated = step.status == "turn_limit"
        return Outcome(Seen(text="", images=()), score.total, not truncated, truncated, info)

    def _given_toolbox(self) -> Toolbox:
        """The toolbox; made when first needed, because an engine and its models take a while to start."""
        if self._toolbox is None:
            from vista_fast.engine import Engine
            from vista_fast.models.ocr import OcrConfig
            from vista_fast.tools import Toolbox

            self._engine = Engine()
            reads = self._tools is None or "ocr" in self._tools or "easyocr" in self._tools
            side = self._ocr_side
            ocr = OcrConfig() if side is None else OcrConfig.at_side(side)
            self._toolbox = Toolbox.default(self._engine, ocr=ocr if reads else None)
        if self._tools is not None:
            self._toolbox, self._tools = self._toolbox.subset(self._tools), None
        return self._toolbox


def pixels(images: Sequence[SeenImage]) -> tuple[Pixels, ...]:
    """Copies of the images' pixels, so that what a user does to an observation changes no shared image."""
    return tuple(np.array(on_host(image), dtype=np.uint8) for image in images)


def calls(episode: Episode) -> tuple[CallRecord, ...]:
    """The records of an episode's calls so far."""
    return tuple(step.call for step in episode.steps if step.call is not None)
