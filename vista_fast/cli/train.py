"""``vista-fast train``: GRPO with tools from the shipped SFT weights, measured before and after."""

from __future__ import annotations

import argparse
from pathlib import Path

from vista_fast.cli import exits
from vista_fast.cli.run_options import add_run_arguments, add_store_argument, run_config, run_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    add_store_argument(parser)
    parser.add_argument("--start", type=Path, help="folder of the weights to start from (default: the shipped ones)")


def run(options: argparse.Namespace) -> int:
    from vista_fast.cli.recording import finish, recording
    from vista_fast.train.run import train_grpo

    config = run_config(options)
    session = recording(run_path(options), config, resume=options.resume, store_every=options.store_every)
    with session as (folder, listener):
        train_grpo(config, folder.path, start=options.start, resume=options.resume, on_event=listener)
    finish(folder)
    return exits.OK
