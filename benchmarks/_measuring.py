"""Measuring beside a peer: both in turns in one process, so that a change of the machine's speed meets both."""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Work = Callable[[], Any]
Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Peer:
    """A peer's figures, one for each repeat, and how much better than it we mean to be, at least."""

    name: str
    figures: list[float]
    at_least: float | None = None


@dataclass(frozen=True)
class Row:
    """One line of the table: our figures, one for each repeat, and those of the peers in the same repeats.

    ``limit`` is a bound on our own figure (an upper one where lower is better). ``bound_by`` says what keeps the figure
    from being better.
    """

    name: str
    unit: str
    better: Better
    figures: list[float]
    peers: list[Peer] = field(default_factory=list)
    limit: float | None = None
    bound_by: str = ""

    def ratios(self, peer: Peer) -> list[float]:
        """How many times better we were, repeat by repeat."""
        pairs = zip(self.figures, peer.figures, strict=True)
        return [ours / theirs if self.better == "higher" else theirs / ours for ours, theirs in pairs]


@dataclass(frozen=True)
class Options:
    """What every benchmark takes: ``quick`` shrinks it to see that it runs, ``record`` keeps its figures."""

    repeats: int
    quick: bool
    record: bool


def parser(description: str | None, repeats: int = 7) -> argparse.ArgumentParser:
    """The command line of every benchmark, for one that adds to it."""
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument(
        "--repeats", type=int, default=repeats, help=f"how often each is measured (default {repeats})"
    )
    arguments.add_argument(
        "--quick", action="store_true", help="small amounts, to see that it runs; the figures mean nothing"
    )
    arguments.add_argument(
        "--record", action="store_true", help="write the figures to results/ and into README.md's table"
    )
    return arguments


def parse(arguments: argparse.ArgumentParser) -> tuple[Options, argparse.Namespace]:
    """What was given, and all of it for a benchmark that takes more."""
    given = arguments.parse_args()
    return Options(1 if given.quick else given.repeats, given.quick, given.record), given


def options(description: str | None, repeats: int = 7) -> Options:
    """Parses the command line of a benchmark that takes nothing else."""
    return parse(parser(description, repeats))[0]


def seconds(work: Work) -> float:
    """How long one run takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turns(works: Mapping[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """The figures that each gives, in turns, after one turn that is not counted. Each starts without the others'
    garbage, which else costs whoever meets the collector's next full pass."""
    figures: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(repeats + 1):
        for name, work in works.items():
            gc.collect()
            figure = work()
            if turn > 0 or repeats == 1:
                figures[name].append(figure)
    return {name: each[-repeats:] for name, each in figures.items()}


def spread(values: list[float], form: str = ".3g") -> str:
    """Median, lowest and highest."""
    return f"{statistics.median(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def amount(value: float) -> str:
    """A figure with three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def show(rows: list[Row]) -> None:
    """Prints the rows."""
    for row in rows:
        limit = f", to be {'below' if row.better == 'lower' else 'above'} {amount(row.limit)}" if row.limit else ""
        print(f"{row.name}: {spread(row.figures)} {row.unit}{limit}")
        for peer in row.peers:
            wanted = f", at least {peer.at_least:g}" if peer.at_least else ""
            print(f"    {peer.name}: {spread(peer.figures)} {row.unit}; ratio {spread(row.ratios(peer))}{wanted}")
