"""What tools cost a rollout: each trajectory on its own way, beside the same rollout with a barrier after every turn.

Each repeat plays one GRPO step's worth of trajectories of other tasks, in both ways one after the other, each with a
fresh engine: no result is known from before, but the networks of ocr are loaded. Exposed latency is the share of the
time in which a call was outstanding that nothing was decoded. The makespan is compared to that of tools that take no
time, twice: as reports do, by arithmetic over the recorded turns and the measured cost of decode steps without tools
beside them; and by playing the same step again on the same engine, which has all results by then.
"""

from __future__ import annotations

import asyncio
import dataclasses
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from _measuring import Peer, Row, options
from _profile import profiled
from _table import finish
from _torchvision import torchvision

from vista_fast.engine import Engine
from vista_fast.rollout import ChatTemplate, RolloutSummary, TransformersGenerator, rollout, summarize
from vista_fast.tasks.mini import load
from vista_fast.tools import Toolbox
from vista_fast.train.config import preset
from vista_fast.train.grpo import play_config
from vista_fast.train.policy import load_policy
from vista_fast.train.run import SHIPPED_WEIGHTS
from vista_fast.train.threads import split_threads
from vista_fast.train.toolbox import policy_toolbox
from vista_fast.types import Task, ToolCall


@dataclass(frozen=True, slots=True)
class Played:
    """A rollout, and the same one with every result known."""

    first: RolloutSummary
    again: RolloutSummary


def main() -> None:
    given = options(__doc__)
    torchvision()  # before transformers imports it
    weights = given.weights or SHIPPED_WEIGHTS
    count = 2 if given.quick else preset("tiny").grpo.tasks_per_step
    tasks = load("train", size=count * (given.repeats + 1), seed=1)
    steps = [[tasks[first + index] for index in range(count)] for first in range(0, len(tasks), count)]
    played: dict[bool, list[Played]] = {False: [], True: []}
    for repeat, step in enumerate(steps):
        for barrier in (False, True) if repeat % 2 else (True, False):
            played[barrier].append(play(weights, step, barrier, repeat))
    profiles = profiled(given, "a step without barrier", lambda: play(weights, steps[0], False, 0))
    finish(rows(weights.name, played[False][1:], played[True][1:]), given, __file__, profiles)  # the first warms up


def play(weights: Path, tasks: Sequence[Task], barrier: bool, seed: int) -> Played:
    """A rollout of ``tasks``, G trajectories each, twice."""
    config = preset("tiny")
    model, tokenizer = load_policy(weights)
    template = ChatTemplate(tokenizer, merge_size=config.policy.merge_size)

    def once(toolbox: Toolbox) -> RolloutSummary:
        settings = play_config(config.grpo, config.policy, toolbox)
        settings = dataclasses.replace(settings, seed=seed, barrier=barrier)
        with TransformersGenerator(model, tokenizer, max_slots=64, threads=split_threads().decoding) as generator:
            trajectories = asyncio.run(rollout(tasks, toolbox, generator, template, settings))
            return summarize(trajectories, generator.drain_spans(), slots=generator.max_slots)

    with Engine() as engine:
        toolbox = policy_toolbox(engine)
        image = engine.image(tasks[0].images[0])
        asyncio.run(toolbox.call(ToolCall("ocr", {"bbox_2d": [0, 0, 1, 0.1]}), images=[image]))
        return Played(once(toolbox), once(toolbox))


def rows(policy: str, free: Sequence[Played], barrier: Sequence[Played]) -> list[Row]:
    def row(name: str, unit: str, figure: Callable[[Played], float], physical: float, physical_is: str) -> Row:
        return Row(
            f"{name}, policy {policy}",
            unit,
            "lower",
            [figure(each) for each in free],
            [Peer("barrier after every turn", [figure(each) for each in barrier])],
            bound_by="the cores, which decode and run the networks of ocr by turns",
            physical=physical,
            physical_is=physical_is,
        )

    def again(each: Played) -> float:
        return each.first.makespan / each.again.makespan

    no_tools = "tools that take no time"
    return [
        row("exposed latency", "%", lambda each: 100 * each.first.exposed_latency, 0.0, no_tools),
        row("makespan, of its replay by arithmetic", "times", lambda each: each.first.makespan_ratio, 1.0, no_tools),
        row(
            "makespan, of it played again",
            "times",
            again,
            1.0,
            no_tools,
        ),
        row(
            "makespan",
            "s",
            lambda each: each.first.makespan,
            statistics.median(each.again.makespan for each in free),
            "the same played again, when every result is known",
        ),
    ]


if __name__ == "__main__":
    main()
