"""Measuring beside a peer: both in turns in one process, so that a change of the machine's speed meets both."""

from __future__ import annotations

import argparse
import gc
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
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

    ``limit`` is what we mean our own figure to reach at least (at most where lower is better). ``bound_by`` says what
    keeps the figure from being better, ``physical`` the figure that nothing could pass, and ``physical_is`` what that
    is: computed from, or measured in, the same run.
    """

    name: str
    unit: str
    better: Better
    figures: list[float]
    peers: list[Peer] = field(default_factory=list)
    limit: float | None = None
    bound_by: str = ""
    physical: float | None = None
    physical_is: str = ""

    def ratios(self, peer: Peer) -> list[float]:
        """How many times better we were, repeat by repeat."""
        pairs = zip(self.figures, peer.figures, strict=True)
        return [times(ours, theirs) if self.better == "higher" else times(theirs, ours) for ours, theirs in pairs]


def times(more: float, less: float) -> float:
    """How many times ``less`` is ``more``, also where one or both are zero."""
    if less:
        return more / less
    return math.inf if more else 1.0


@dataclass(frozen=True)
class Profile:
    """Where the samples of one of our works fell: (library and function, percent), most first."""

    of: str
    shares: list[tuple[str, float]]


@dataclass(frozen=True)
class Options:
    """What every benchmark takes, so that one command line fits all of them; what does not concern one, it ignores.

    ``quick`` shrinks it to see that it runs, ``record`` keeps its figures, ``profile`` shows where our side spends its
    time. The rest is for the peers.
    """

    repeats: int
    quick: bool
    record: bool
    profile: bool
    verl_tool: Path | None
    verl_tool_python: str
    weights: Path | None


def options(description: str | None, repeats: int = 7) -> Options:
    """Parses the command line of a benchmark."""
    given = _parser(description, repeats).parse_args()
    return Options(
        repeats=1 if given.quick else given.repeats,
        quick=given.quick,
        record=given.record,
        profile=given.profile,
        verl_tool=given.verl_tool and given.verl_tool.resolve(),
        verl_tool_python=given.verl_tool_python,
        weights=given.weights,
    )


def _parser(description: str | None, repeats: int) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=repeats, help=f"how often each is measured (default {repeats})")
    parser.add_argument(
        "--quick", action="store_true", help="small amounts, to see that it runs; the figures mean nothing"
    )
    parser.add_argument("--record", action="store_true", help="write the figures to results/ and README.md's table")
    parser.add_argument("--profile", action="store_true", help="run our side under perf too, and show its top symbols")
    some = parser.add_argument_group("for some of the benchmarks, ignored by the others")
    some.add_argument("--verl-tool", type=Path, metavar="CHECKOUT", help="zoom: a checkout of verl-tool, a peer")
    some.add_argument("--verl-tool-python", default=sys.executable, help="zoom: an interpreter with its requirements")
    some.add_argument("--weights", type=Path, metavar="FOLDER", help="overlap: the policy's (default: shipped)")
    return parser


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


def show(rows: Sequence[Row]) -> None:
    """Prints the rows."""
    for row in rows:
        limit = f", to be {'below' if row.better == 'lower' else 'above'} {amount(row.limit)}" if row.limit else ""
        physical = f", physical limit {amount(row.physical)}" if row.physical is not None else ""
        print(f"{row.name}: {spread(row.figures)} {row.unit}{limit}{physical}")
        for peer in row.peers:
            wanted = f", at least {peer.at_least:g}" if peer.at_least else ""
            print(f"    {peer.name}: {spread(peer.figures)} {row.unit}; ratio {spread(row.ratios(peer))}{wanted}")
