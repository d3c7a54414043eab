"""One trajectory: generate a turn, make its call, append what it saw, until the Episode ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from vista_fast.envs.episode import Episode, Step
from vista_fast.errors import AbortedError, DeadlineExceededError, EngineClosedError, InvalidArgumentError, VistaError
from vista_fast.protocol import render_observation, render_question, system_prompt
from vista_fast.rollout.barrier import RoundBarrier
from vista_fast.rollout.config import RolloutConfig
from vista_fast.rollout.generator import Generation, Generator, Patches
from vista_fast.rollout.template import ChatTemplate
from vista_fast.rollout.vision import Preprocessor
from vista_fast.types import CallRecord, Observation, Task, ToolError, Trajectory, Turn

if TYPE_CHECKING:
    from vista_fast.engine import Engine
    from vista_fast.tools import Toolbox
    from vista_fast.types import SeenImage


@dataclass(frozen=True, slots=True)
class Seat:
    """One of the G rollouts of a Task."""

    task: Task
    group: str
    number: int

    @property
    def flow(self) -> str:
        """The trajectory's name: its flow in the engine, its session in the generator."""
        return f"{self.group}/{self.number}"


class UnplayableTaskError(VistaError):
    """A Task whose images can't be opened or preprocessed."""


class Stage:
    """What the trajectories of one rollout share."""

    def __init__(
        self,
        toolbox: Toolbox | None,
        generator: Generator,
        template: ChatTemplate,
        config: RolloutConfig,
        engine: Engine,
    ) -> None:
        self.toolbox = toolbox
        self.generator = generator
        self.template = template
        self.config = config
        self.preprocessor = Preprocessor(engine, config.vision)
        self.system = config.system or None
        if config.system is None:
            self.system = system_prompt(toolbox.schemas() if toolbox is not None else ())
        self._engine = engine
        self._opened: dict[str, asyncio.Future[list[Patches]]] = {}
        self._playing: dict[str, int] = {}

    async def open(self, seat: Seat) -> list[Patches]:
        """The Task's images, opened and preprocessed once for the whole group.

        Raises:
            UnplayableTaskError: the Task's images can't be opened.
        """
        if seat.group not in self._opened:
            self._opened[seat.group] = asyncio.ensure_future(self._open(seat.task))
            self._playing[seat.group] = self.config.group_size
        return await asyncio.shield(self._opened[seat.group])

    def leave(self, seat: Seat) -> None:
        """A trajectory has ended; with the last of its group, the group's images are let go."""
        self.generator.release(seat.flow)
        left = self._playing.get(seat.group, 0) - 1
        self._playing[seat.group] = left
        if left == 0:
            del self._playing[seat.group], self._opened[seat.group]

    async def _open(self, task: Task) -> list[Patches]:
        try:
            images = [await asyncio.to_thread(self._engine.image, source) for source in task.images]
            if self.config.prefetch and self.toolbox is not None:
                self.toolbox.prefetch(images)
            place = self.config.place
            seen = images if place is None else [await asyncio.to_thread(place, image) for image in images]
            return await self.preprocessor.patches(seen, priority=self.config.priority)
        except (EngineClosedError, DeadlineExceededError, AbortedError):
            raise
        except VistaError as error:
            raise UnplayableTaskError(f"an image of task {task.id!r} can't be used: {error}") from error


class Context:
    """The ids of a trajectory as they grow, each with its place in the loss mask."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.mask: list[int] = []
        self.logprobs: list[float] = []
        self.patches: list[Patches] = []

    def give(self, ids: Sequence[int], patches: Sequence[Patches] = ()) -> None:
        """Append ids that nobody sampled, and the images that their placeholders stand for."""
        self.ids += ids
        self.mask += [0] * len(ids)
        self.logprobs += [0.0] * len(ids)
        self.patches += patches

    def sample(self, generation: Generation) -> None:
        """Append what the policy sampled."""
        self.ids += generation.token_ids
        self.mask += [1] * len(generation.token_ids)
        self.logprobs += generation.logprobs


class Player:
    """Plays one trajectory on a Stage."""

    def __init__(self, stage: Stage, seat: Seat, barrier: RoundBarrier | None) -> None:
        self._stage = stage
        self._config = stage.config
        self._seat = seat
        self._barrier = barrier
        self._context = Context()
        self._turns: list[Turn] = []
        self._episode: Episode | None = None

    async def play(self) -> Trajectory:
        """The trajectory, from prompt to end."""
        clock = asyncio.get_running_loop().time
        started = clock()
        error: VistaError | None = None
        try:
            episode = await self._begin()
            while not episode.done:
                await self._take_turn(episode)
        except (DeadlineExceededError, AbortedError, UnplayableTaskError) as lost:
            error = lost
        finally:
            self._stage.leave(self._seat)
            if self._barrier is not None:
                self._barrier.leave()
        return self._record(started, clock(), error)

    async def _begin(self) -> Episode:
        stage, task = self._stage, self._seat.task
        opened = await stage.open(self._seat)
        self._episode = Episode(
            task,
            _images(opened),
            stage.toolbox,
            max_turns=self._config.max_turns if stage.toolbox is not None else 1,
            flow=self._seat.flow,
            priority=self._config.priority,
            deadline=self._config.deadline,
        )
        grids = [patches.grid for patches in opened]
        self._context.give(stage.template.prompt(stage.system, render_question(task), grids), opened)
        self._context.give(stage.template.encode(self._config.forced_prefix))
        if len(self._context.ids) >= self._config.max_context:
            self._episode.cut("length_limit")
        return self._episode

    async def _take_turn(self, episode: Episode) -> None:
        toolbox = self._stage.toolbox
        soon = toolbox.expect(self._seat.flow) if toolbox is not None and self._config.expect else _NOTHING
        with soon:
            generation = await self._generate()
            turn = self._turns[-1]
            if generation.finish == "length":
                episode.cut("length_limit", turn.text)
                return
            await self._meet()
            step = await self._step(episode, turn)
        if step.observation is not None:
            await self._observe(episode, turn, step.observation)
            await self._meet()

    async def _generate(self) -> Generation:
        config, context, number = self._config, self._context, len(self._turns)
        sampling = replace(
            config.sampling,
            max_tokens=min(config.sampling.max_tokens, config.max_context - len(context.ids)),
            seed=_seed(config.seed, self._seat, number),
            end_ids=tuple({*config.sampling.end_ids, self._stage.template.end_id}),
            forbidden_ids=tuple(sorted({*config.sampling.forbidden_ids, *self._stage.template.forbidden_ids})),
        )
        generation = await self._stage.generator.generate(self._seat.flow, context.ids, context.patches, sampling)
        context.sample(generation)
        self._turns.append(
            Turn(
                text=(config.forced_prefix if number == 0 else "") + generation.text,
                token_ids=generation.token_ids,
                logprobs=generation.logprobs,
                weight_version=generation.weight_version,
                started=generation.started,
                ended=generation.ended,
            )
        )
        return generation

    async def _step(self, episode: Episode, turn: Turn) -> Step:
        """The Episode's step; a call that infrastructure lost is recorded too, for it was outstanding."""
        clock = asyncio.get_running_loop().time
        submitted = clock()
        try:
            step = await episode.step(turn.text)
        except (DeadlineExceededError, AbortedError):
            turn.call = CallRecord(None, submitted, clock(), "error")
            raise
        turn.call = step.call
        return step

    async def _observe(self, episode: Episode, turn: Turn, observation: Observation) -> None:
        """Append the observation whole, or end the episode where it does not fit."""
        template = self._stage.template
        observation, patches = await self._look(episode, observation)
        grids = [image.grid for image in patches]
        ids = template.observation(render_observation(observation), grids, sampled=turn.token_ids)
        if len(self._context.ids) + len(ids) >= self._config.max_context:
            episode.cut("length_limit")
            return
        turn.observation = observation
        self._context.give(ids, patches)

    async def _look(self, episode: Episode, observation: Observation) -> tuple[Observation, list[Patches]]:
        """The observation's images as the policy sees them; images that it can't see are a failure of the call."""
        try:
            images = observation.images
            return observation, await self._stage.preprocessor.patches(
                images, flow=self._seat.flow, priority=self._config.priority, deadline=self._config.deadline
            )
        except InvalidArgumentError as error:
            del episode.images[-len(observation.images) :]
            message = f"The resulting image can't be shown: {error}"
            return Observation(message, error=ToolError("E5", message)), []

    async def _meet(self) -> None:
        if self._barrier is not None:
            await self._barrier.arrive()

    def _record(self, started: float, ended: float, error: VistaError | None) -> Trajectory:
        episode, context = self._episode, self._context
        played = episode if error is None else None
        return Trajectory(
            task=self._seat.task,
            flow=self._seat.flow,
            group=self._seat.group,
            status="lost" if played is None or played.status is None else played.status,
            ids=context.ids,
            mask=context.mask,
            logprobs=context.logprobs,
            images=_images(context.patches),
            turns=self._turns,
            answer=None if played is None else played.answer,
            reward=None if played is None else played.score(self._config.scheme),
            correct=played is not None and played.correct,
            started=started,
            ended=ended,
            error=None if error is None else f"{type(error).__name__}: {error}",
        )


_NOTHING = contextlib.nullcontext()


def _images(patches: Sequence[Patches]) -> list[SeenImage]:
    return [image.image for image in patches if image.image is not None]


def _seed(seed: int, seat: Seat, turn: int) -> int:
    """A seed for one generation, the same in every process: the rollout's seed, its Task, number and turn decide."""
    name = repr((seed, seat.task.dataset, seat.task.id, seat.number, turn)).encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little")
