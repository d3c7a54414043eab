"""Parses the command line and runs the command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from vista_fast.cli import exits


class Command(Protocol):
    """A module of this package that is one command."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None: ...

    @staticmethod
    def run(options: argparse.Namespace) -> int: ...


COMMANDS = {
    "train": "train the small policy with tools: GRPO from its SFT weights",
    "sft": "fine-tune the small policy on a teacher's trajectories",
    "rollout": "play a policy on tasks and store the trajectories",
    "eval": "measure policies on held-out tasks, with and without tools",
    "report": "write the report of a run again",
    "weights": "list the weights that are known by name, or get some",
    "bench": "list and run the benchmarks of a checkout",
    "doctor": "say what was found on this machine, what is used, and why",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command that ``arguments`` (default: the process's own) name, and returns its exit code."""
    own, passed_on = _split(sys.argv[1:] if arguments is None else list(arguments))
    parser = _parser()
    options = parser.parse_args(own)
    if passed_on and options.command != "bench":
        parser.error(f"only bench passes arguments on, {options.command} got: {' '.join(passed_on)}")
    options.passed_on = passed_on
    command: Command = _module(options.command)
    try:
        with exits.orderly_termination():
            return command.run(options)
    except BrokenPipeError:
        # The reader of our output (a pager, head) has gone: end quietly.
        exits.discard_output(sys.stdout)
        return exits.OK
    except (Exception, KeyboardInterrupt) as error:
        return exits.code_of(error)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vista-fast",
        description="Rollouts and reinforcement learning of vision-language models that think with tools.",
        epilog=exits.MEANING,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, purpose in COMMANDS.items():
        child = commands.add_parser(name, help=purpose, description=purpose[0].upper() + purpose[1:] + ".")
        _module(name).add_arguments(child)
    return parser


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Our own arguments, and those after the first '--'."""
    if "--" not in arguments:
        return arguments, []
    cut = arguments.index("--")
    return arguments[:cut], arguments[cut + 1 :]


def _module(name: str) -> Command:
    command: Command = import_module(f"vista_fast.cli.{'evaluate' if name == 'eval' else name}")  # type: ignore[assignment]
    return command


def _version() -> str:
    try:
        return f"vista-fast {version('vista-fast')}"
    except PackageNotFoundError:
        return "vista-fast (not installed as a package)"
