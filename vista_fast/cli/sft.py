"""``vista-fast sft``: the SFT weights, from nothing, on the teacher's demonstrations."""

from __future__ import annotations

import argparse
from pathlib import Path

from vista_fast.cli import exits
from vista_fast.cli.run_options import add_run_arguments, run_config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser, "runs/<preset>-sft")
    parser.add_argument("--teacher", choices=("habit", "oracle"), help="how the teacher picks tool and region")


def run(options: argparse.Namespace) -> int:
    import dataclasses

    from vista_fast.cli.recording import record_run
    from vista_fast.train.run import train_sft

    config = run_config(options)
    teacher = options.teacher or config.sft.teacher
    config = dataclasses.replace(config, sft=dataclasses.replace(config.sft, teacher=teacher))
    path = options.run or Path("runs") / f"{options.preset}-sft"
    record_run(
        "sft",
        path,
        config,
        lambda folder, listener: train_sft(config, folder, resume=options.resume, on_event=listener),
        resume=options.resume,
    )
    print(f"weights  {path / 'weights'}")
    return exits.OK
