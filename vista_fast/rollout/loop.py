"""The turn loop: every Task played by G rollouts at once, through one Generator and one Toolbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from vista_fast.errors import InvalidArgumentError
from vista_fast.rollout.barrier import RoundBarrier
from vista_fast.rollout.config import RolloutConfig
from vista_fast.rollout.generator import Generator
from vista_fast.rollout.player import Player, Seat, Stage
from vista_fast.rollout.template import ChatTemplate
from vista_fast.types import Task, Trajectory

if TYPE_CHECKING:
    from vista_fast.engine import Engine
    from vista_fast.tools import Toolbox


async def rollout(
    tasks: Sequence[Task],
    toolbox: Toolbox | None,
    generator: Generator,
    template: ChatTemplate,
    config: RolloutConfig,
    *,
    engine: Engine | None = None,
    on_trajectory: Callable[[Trajectory], None] | None = None,
) -> list[Trajectory]:
    """Play every Task ``group_size`` times; trajectories come back Task by Task, in order.

    While a trajectory waits for a tool the others decode. One that infrastructure lost (an expired or aborted call, a
    Task whose images can't be opened) has the status "lost" and no reward.

    Args:
        tasks: what to play.
        toolbox: the tools; None is the same as ``config.tools=False``.
        generator: what continues ids.
        template: how ids are laid out.
        config: how it is played.
        engine: what opens and preprocesses images, default the toolbox's.
        on_trajectory: called with each trajectory as it ends.

    Raises:
        InvalidArgumentError: there is neither an engine nor a toolbox.
        EngineClosedError: the engine was closed meanwhile.
        Exception: what a Tool of one's own raised that is neither a ToolFailure nor one of the engine's errors.
    """
    engine = engine or (toolbox.engine if toolbox is not None else None)
    if engine is None:
        raise InvalidArgumentError("rollout() has no toolbox and no engine; pass engine= to open the images with")
    stage = Stage(toolbox if config.tools else None, generator, template, config, engine)
    seats = [
        Seat(task, f"{config.label}{index}:{task.id}", number)
        for index, task in enumerate(tasks)
        for number in range(config.group_size)
    ]
    limit = config.max_concurrent or max(1, len(seats))
    if not config.barrier:
        return await _together(seats, stage, asyncio.Semaphore(limit), None, on_trajectory)
    trajectories: list[Trajectory] = []
    for first in range(0, len(seats), limit):
        chunk = seats[first : first + limit]
        barrier = RoundBarrier(len(chunk))
        trajectories += await _together(chunk, stage, asyncio.Semaphore(limit), barrier, on_trajectory)
    return trajectories


async def _together(
    seats: Sequence[Seat],
    stage: Stage,
    room: asyncio.Semaphore,
    barrier: RoundBarrier | None,
    on_trajectory: Callable[[Trajectory], None] | None,
) -> list[Trajectory]:
    async def one(seat: Seat) -> Trajectory:
        async with room:
            trajectory = await Player(stage, seat, barrier).play()
        if on_trajectory is not None:
            on_trajectory(trajectory)
        return trajectory

    running = [asyncio.ensure_future(one(item)) for item in seats]
    try:
        return list(await asyncio.gather(*running))
    except BaseException:
        for future in running:
            future.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        raise
