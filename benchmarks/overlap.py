"""What tools cost a rollout: each trajectory on its own way, beside the same rollout with a barrier after every turn.

    python benchmarks/overlap.py [--weights FOLDER] [--repeats 7]

Each repeat plays one GRPO step's worth of trajectories of other tasks, in both ways one after the other, each with a
fresh engine: no result is known from before, but the networks of ocr are loaded. Exposed latency is the share of the
time in which a call was outstanding that nothing was decoded. The makespan is compared to that of tools that take no
time, twice: as reports do, by arithmetic over the recorded turns and the measured cost of decode steps without tools
beside them; and by playing the same step again on the same engine, which has all results by then.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vista_fast.cli.machine import describe
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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS, help="of the policy (default: shipped)")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()

    count = preset("tiny").grpo.tasks_per_step
    tasks = load("train", size=count * (options.repeats + 1), seed=1)
    played: dict[bool, list[Played]] = {False: [], True: []}
    for repeat in range(options.repeats + 1):
        chosen = [tasks[index] for index in range(repeat * count, (repeat + 1) * count)]
        for barrier in (False, True) if repeat % 2 else (True, False):
            played[barrier].append(play(options.weights, chosen, barrier, repeat))
    show(played[False][1:], played[True][1:])  # the first repeat warms up


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


def show(continuous: Sequence[Played], barrier: Sequence[Played]) -> None:
    machine = describe()
    print(
        f"{continuous[0].first.trajectories} trajectories a step, median of {len(continuous)} (lowest to highest); "
        f"{machine.cpu}, {machine.cores} cores, {machine.memory / 2**30:.0f} GiB\n"
    )
    print("| | exposed latency | makespan / replay by arithmetic | makespan / played again | seconds |")
    print("|---|---|---|---|---|")
    for name, figures in (("no barrier", continuous), ("barrier per turn", barrier)):
        cells = (
            spread([100 * each.first.exposed_latency for each in figures], "{:.1f} %"),
            spread([each.first.makespan_ratio for each in figures], "{:.2f}"),
            spread([each.first.makespan / each.again.makespan for each in figures], "{:.2f}"),
            spread([each.first.makespan for each in figures], "{:.2f}"),
        )
        print(f"| {name} | {' | '.join(cells)} |")
    ratios = [b.first.makespan / c.first.makespan for b, c in zip(barrier, continuous, strict=True)]
    print(f"\nThe barrier takes {spread(ratios, '{:.2f}')} times as long.")


def spread(figures: Sequence[float], form: str) -> str:
    values = sorted(figures)
    return f"{form.format(statistics.median(values))} ({form.format(values[0])} to {form.format(values[-1])})"


if __name__ == "__main__":
    main()
