"""The command ``vista-fast weights``: which weights are known, and bringing them here."""

from __future__ import annotations

import argparse

from vista_fast.errors import InvalidArgumentError, NotFoundError
from vista_fast.models.weights import WEIGHTS, fetch_weight, weight_here


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "get"), help="list what is known, or get the named ones")
    parser.add_argument("names", nargs="*", metavar="NAME", help="the weights to get")


def run(options: argparse.Namespace) -> int:
    if options.action == "list":
        _list()
        return 0
    if not options.names:
        raise InvalidArgumentError(f"weights get needs the names of weights: {', '.join(WEIGHTS)}")
    for name in options.names:
        print(fetch_weight(name))
    return 0


def _list() -> None:
    for weight in WEIGHTS.values():
        try:
            where = str(weight_here(weight.name) or "not here")
        except NotFoundError as error:
            where = str(error)
        print(f"{weight.name:<26} {weight.purpose:<16} {weight.megabytes:6.1f} MB  {weight.licence:<11} {where}")
