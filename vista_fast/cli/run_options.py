"""The options that every command with a training configuration shares."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vista_fast.train.config import TrainConfig

PRESETS = ("tiny", "ci")


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Which preset, seed and thread budget."""
    parser.add_argument("--preset", choices=PRESETS, default="tiny", help="tiny: the main job; ci: the same, shortened")
    add_play_arguments(parser)


def add_play_arguments(parser: argparse.ArgumentParser) -> None:
    """Which seed and thread budget."""
    parser.add_argument("--seed", type=int, default=0, help="of tasks, sampling and initial weights (default 0)")
    parser.add_argument("--threads", type=positive, help="thread budget of engine, networks and torch (default: cores)")


def add_run_arguments(parser: argparse.ArgumentParser, folder: str) -> None:
    """The same, with a run folder; ``folder`` is the default that help shows."""
    add_config_arguments(parser)
    parser.add_argument("--run", type=Path, help=f"folder of the run (default: {folder})")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in the folder, if any")


def add_store_argument(parser: argparse.ArgumentParser) -> None:
    """Which steps' trajectories are kept."""
    parser.add_argument(
        "--store-every",
        type=not_negative,
        default=10,
        metavar="N",
        help="store the trajectories of every Nth step; 0: none",
    )


def run_config(options: argparse.Namespace) -> TrainConfig:
    """The configuration that the options name."""
    from vista_fast.train.config import preset

    return preset(options.preset, seed=options.seed, threads=options.threads)


def positive(text: str) -> int:
    """An integer of at least 1, for argparse."""
    return _at_least(1, text)


def not_negative(text: str) -> int:
    """An integer of at least 0, for argparse."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    value = int(text)
    if value < least:
        raise argparse.ArgumentTypeError(f"{value} is below {least}")
    return value
