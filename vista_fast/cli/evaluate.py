"""``vista-fast eval``: accuracy and mean reward of policies on held-out tasks, with and without tools."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from vista_fast.cli import exits
from vista_fast.cli.run_options import add_config_arguments, positive, run_config
from vista_fast.errors import InvalidArgumentError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("policies", nargs="+", metavar="[name=]weights", help="folders of weights to measure")
    add_config_arguments(parser)
    parser.add_argument("--tasks", type=positive, help="number of held-out tasks (default: the preset's)")
    parser.add_argument("--temperature", type=float, action="append", help="repeat for several; 0 is greedy")


def run(options: argparse.Namespace) -> int:
    import dataclasses

    from vista_fast.cli.progress import progress, table_lines
    from vista_fast.report.results import result_table
    from vista_fast.train.metrics import as_record
    from vista_fast.train.run import evaluate_policies

    config = run_config(options)
    temperatures = tuple(options.temperature or config.eval.temperatures)
    tasks = options.tasks or config.eval.tasks
    config = dataclasses.replace(config, eval=dataclasses.replace(config.eval, tasks=tasks, temperatures=temperatures))
    with progress(sys.stdout) as show:
        results = evaluate_policies(config, named_folders(options.policies), on_event=show)
    print("\n".join(table_lines(result_table(as_record(result) for result in results))))
    return exits.OK


def named_folders(arguments: list[str]) -> dict[str, Path]:
    """``name=folder`` or ``folder`` (named after itself) into folders by name."""
    from vista_fast.train.run import UNTRAINED

    folders: dict[str, Path] = {}
    for argument in arguments:
        name, separator, folder = argument.partition("=")
        path = Path(folder if separator else argument)
        name = name if separator else path.name
        if not path.is_dir():
            raise InvalidArgumentError(f"{path} is not a folder; name one with weights, as vista-fast sft writes it")
        if name == UNTRAINED:
            raise InvalidArgumentError(
                f"the name {name!r} is taken by the untrained model; choose another: mine={path}"
            )
        if name in folders:
            raise InvalidArgumentError(f"two policies are called {name!r}; give names: first=folder second=folder")
        folders[name] = path
    return folders
