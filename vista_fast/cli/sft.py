"""``vista-fast sft``: the SFT weights, from nothing, on the teacher's trajectories."""

from __future__ import annotations

import argparse

from vista_fast.cli import exits
from vista_fast.cli.run_options import add_run_arguments, run_config, run_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser)
    parser.add_argument("--teacher", choices=("random", "oracle"), help="how the teacher picks tool and region")


def run(options: argparse.Namespace) -> int:
    import dataclasses

    from vista_fast.cli.recording import finish, recording
    from vista_fast.train.run import train_sft

    config = run_config(options)
    if options.teacher:
        config = dataclasses.replace(config, sft=dataclasses.replace(config.sft, teacher=options.teacher))
    with recording(run_path(options), config, resume=options.resume) as (folder, listener):
        weights = train_sft(config, folder.path, resume=options.resume, on_event=listener)
    finish(folder)
    print(f"weights  {weights}")
    return exits.OK
