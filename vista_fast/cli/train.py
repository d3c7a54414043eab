"""``vista-fast train``: GRPO with tools from the shipped SFT weights, measured before and after."""

from __future__ import annotations

import argparse
from pathlib import Path

from vista_fast.cli import exits
from vista_fast.cli.run_options import add_run_arguments, add_store_argument, positive, run_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser, "runs/<preset>")
    add_store_argument(parser)
    parser.add_argument("--start", type=Path, help="folder of the weights to start from (default: the shipped ones)")
    parser.add_argument("--steps", type=positive, help="steps of GRPO (default: the preset's)")
    parser.add_argument("--barrier", action="store_true", help="let rollouts wait for each other after every turn")


def run(options: argparse.Namespace) -> int:
    import dataclasses

    from vista_fast.cli.recording import record_run
    from vista_fast.train.policy import check_policy
    from vista_fast.train.run import train_grpo

    if options.start is not None:
        check_policy(options.start)
    config = run_config(options)
    steps = options.steps or config.grpo.steps
    config = dataclasses.replace(
        config,
        start=str(options.start.resolve()) if options.start else None,
        grpo=dataclasses.replace(config.grpo, steps=steps, barrier=options.barrier),
    )
    record_run(
        "train",
        options.run or Path("runs") / options.preset,
        config,
        lambda folder, listener: train_grpo(config, folder, resume=options.resume, on_event=listener),
        resume=options.resume,
        store_every=options.store_every,
    )
    return exits.OK
