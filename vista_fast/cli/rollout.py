"""``vista-fast rollout``: plays a policy on tasks and stores the trajectories."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vista_fast.cli import exits
from vista_fast.cli.run_options import add_play_arguments, positive
from vista_fast.errors import InvalidArgumentError

if TYPE_CHECKING:
    from vista_fast.rollout import RolloutSummary
    from vista_fast.types import Dataset, Task, Trajectory


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", type=Path, help="folder to store to: rollout.parquet and images by hash")
    parser.add_argument("--weights", type=Path, help="folder of the policy's weights (default: the shipped ones)")
    add_play_arguments(parser)
    parser.add_argument("--dataset", default="mini", help="dataset by name (default mini)")
    parser.add_argument("--data", type=Path, help="folder of a dataset's files, for those that have files (chartqa)")
    parser.add_argument("--split", default="train", help="split of the dataset (default train)")
    parser.add_argument("--tasks", type=positive, default=16, help="number of tasks (default 16)")
    parser.add_argument("--group", type=positive, default=1, help="rollouts per task (default 1)")
    parser.add_argument("--temperature", type=float, default=1.0, help="0 is greedy (default 1)")
    parser.add_argument("--barrier", action="store_true", help="let rollouts wait for each other after every turn")


def run(options: argparse.Namespace) -> int:
    from vista_fast.rollout.store import write_trajectories
    from vista_fast.run_folder import make_folder
    from vista_fast.train.policy import check_policy

    tasks = _tasks(options)
    if options.weights is not None:
        check_policy(options.weights)
    make_folder(options.out, "trajectories")
    trajectories, summary = _play(options, tasks)
    path = write_trajectories(options.out, "rollout", trajectories)
    print("\n".join(_report(trajectories, summary)))
    print(f"stored   {path}")
    return exits.OK


def _tasks(options: argparse.Namespace) -> Sequence[Task]:
    from vista_fast.tasks import load

    own: dict[str, Any] = {"size": options.tasks, "seed": options.seed} if options.dataset == "mini" else {}
    if options.data is not None:
        own["folder"] = options.data
    elif options.dataset == "chartqa":
        raise InvalidArgumentError("dataset chartqa is read from files: name their folder with --data")
    dataset: Dataset = load(options.dataset, split=options.split, **own)
    return [dataset[index] for index in range(min(options.tasks, len(dataset)))]


def _play(options: argparse.Namespace, tasks: Sequence[Task]) -> tuple[list[Trajectory], RolloutSummary]:
    import asyncio
    import dataclasses

    import torch

    from vista_fast.engine import Engine
    from vista_fast.rollout import ChatTemplate, TransformersGenerator, rollout, summarize
    from vista_fast.train.config import preset
    from vista_fast.train.grpo import play_config
    from vista_fast.train.policy import load_policy
    from vista_fast.train.run import SHIPPED_WEIGHTS
    from vista_fast.train.threads import split_threads
    from vista_fast.train.toolbox import policy_toolbox

    config = preset("tiny", seed=options.seed, threads=options.threads)
    threads = split_threads(config.threads)
    torch.set_num_threads(threads.torch)
    model, tokenizer = load_policy(options.weights or SHIPPED_WEIGHTS)
    template = ChatTemplate(tokenizer, merge_size=config.policy.merge_size)
    with (
        Engine(threads=threads.tools) as engine,
        TransformersGenerator(model, tokenizer, threads=threads.decoding) as generator,
    ):
        toolbox = policy_toolbox(engine)
        play = play_config(config.grpo, config.policy, toolbox)
        sampling = dataclasses.replace(play.sampling, temperature=options.temperature)
        play = dataclasses.replace(
            play, sampling=sampling, group_size=options.group, seed=options.seed, barrier=options.barrier
        )
        count = _Count(len(tasks) * options.group)
        trajectories = asyncio.run(rollout(tasks, toolbox, generator, template, play, on_trajectory=count))
        return trajectories, summarize(trajectories, generator.drain_spans(), slots=generator.max_slots)


class _Count:
    """Counts trajectories as they end, on a terminal."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0

    def __call__(self, _: Trajectory) -> None:
        self._done += 1
        if sys.stderr.isatty():
            end = "\n" if self._done == self._total else ""
            print(f"\r{self._done}/{self._total} trajectories", end=end, file=sys.stderr, flush=True)


def _report(trajectories: Sequence[Trajectory], summary: RolloutSummary) -> list[str]:
    rewards = [trajectory.reward.total for trajectory in trajectories if trajectory.reward is not None]
    right = sum(trajectory.correct for trajectory in trajectories)
    played = max(1, len(rewards))
    return [
        f"played   {summary.trajectories} trajectories in {summary.makespan:.2f} s, {summary.lost} lost",
        f"accuracy {right / played:.1%}, mean reward {sum(rewards) / played:.2f}",
        f"tools    {summary.tool_calls} calls ({summary.calls_per_second:.1f}/s), {summary.calls_joined} joined a "
        f"flight, {summary.calls_cached} from the cache",
        f"exposed  {summary.exposed_latency:.1%} of the time in which a call was out; makespan "
        f"{summary.makespan_ratio:.2f}x that with tools that take no time",
    ]
