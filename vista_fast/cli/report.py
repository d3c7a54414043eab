"""``vista-fast report``: writes report.html of a run again."""

from __future__ import annotations

import argparse
from pathlib import Path

from vista_fast.cli import exits


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_folder", type=Path, metavar="run", help="folder of a run")


def run(options: argparse.Namespace) -> int:
    from vista_fast.report import write

    print(write(options.run_folder))
    return exits.OK
