"""What tools cost a rollout: each trajectory on its own way, beside the same rollout with a barrier after every turn.

    python benchmarks/overlap.py [--weights FOLDER] [--repeats 7]

Each repeat plays one GRPO step's worth of trajectories of other tasks, in both ways one after the other, each with a
fresh engine: no result is known from before, the networks of ocr are loaded. Exposed latency is the share of the time
in which a call was outstanding that nothing was decoded; the makespan is compared to that of a replay of the same
turns with tools that take no time.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from vista_fast.cli.machine import describe
from vista_fast.engine import Engine
from vista_fast.rollout import ChatTemplate, RolloutSummary, TransformersGenerator, rollout, summarize
from vista_fast.tasks.mini import load
from vista_fast.train.config import preset
from vista_fast.train.grpo import play_config
from vista_fast.train.policy import load_policy
from vista_fast.train.run import SHIPPED_WEIGHTS
from vista_fast.train.toolbox import policy_toolbox
from vista_fast.types import Task, ToolCall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--weights", type=Path, default=SHIPPED_WEIGHTS, help="the policy's (default: the shipped ones)"
    )
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()

    count = preset("tiny").grpo.tasks_per_step
    tasks = load("train", size=count * (options.repeats + 1), seed=1)
    continuous: list[RolloutSummary] = []
    barrier: list[RolloutSummary] = []
    for repeat in range(options.repeats + 1):
        chosen = [tasks[index] for index in range(repeat * count, (repeat + 1) * count)]
        for barred, into in (
            ((False, continuous), (True, barrier)) if repeat % 2 else ((True, barrier), (False, continuous))
        ):
            into.append(play(options.weights, chosen, barred, repeat))
    show(continuous[1:], barrier[1:])  # the first repeat warms up


def play(weights: Path, tasks: Sequence[Task], barrier: bool, seed: int) -> RolloutSummary:
    """The figures of one rollout of ``tasks``, G trajectories each."""
    config = preset("tiny")
    model, tokenizer = load_policy(weights)
    template = ChatTemplate(tokenizer, merge_size=config.policy.merge_size)
    with Engine() as engine, TransformersGenerator(model, tokenizer, max_slots=64) as generator:
        toolbox = policy_toolbox(engine)
        image = engine.image(tasks[0].images[0])
        asyncio.run(toolbox.call(ToolCall("ocr", {"bbox_2d": [0, 0, 1, 0.1]}), images=[image]))
        settings = play_config(config.grpo, config.policy, toolbox)
        settings = dataclasses.replace(settings, seed=seed, barrier=barrier)
        trajectories = asyncio.run(rollout(tasks, toolbox, generator, template, settings))
        return summarize(trajectories, generator.drain_spans(), slots=generator.max_slots)


def show(continuous: Sequence[RolloutSummary], barrier: Sequence[RolloutSummary]) -> None:
    machine = describe()
    print(
        f"{continuous[0].trajectories} trajectories a step, median of {len(continuous)} (lowest to highest); "
        f"{machine.cpu}, {machine.cores} cores, {machine.memory / 2**30:.0f} GiB\n"
    )
    print("| | exposed latency | makespan / without tools | seconds |\n|---|---|---|---|")
    for name, figures in (("no barrier", continuous), ("barrier per turn", barrier)):
        cells = (
            spread(figures, lambda each: 100 * each.exposed_latency, "{:.1f} %"),
            spread(figures, lambda each: each.makespan_ratio, "{:.2f}"),
            spread(figures, lambda each: each.makespan, "{:.2f}"),
        )
        print(f"| {name} | {' | '.join(cells)} |")
    ratios = sorted(b.makespan / c.makespan for b, c in zip(barrier, continuous, strict=True))
    print(
        f"\nThe barrier takes {statistics.median(ratios):.2f} times as long "
        f"({ratios[0]:.2f} to {ratios[-1]:.2f}, by repeat)."
    )


def spread(figures: Sequence[RolloutSummary], of: Callable[[RolloutSummary], float], form: str) -> str:
    values = sorted(map(of, figures))
    return f"{form.format(statistics.median(values))} ({form.format(values[0])} to {form.format(values[-1])})"


if __name__ == "__main__":
    main()
