"""Keeps figures in results/, one file for each benchmark, and writes the table of README.md from all of them."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from _measuring import Options, Peer, Row, amount, show

FOLDER = Path(__file__).resolve().parent
LIBRARIES = (
    "numpy",
    "torch",
    "torchvision",
    "transformers",
    "pillow",
    "opencv-python",
    "opencv-python-headless",
    "simplejpeg",
    "openvino",
    "ray",
)

HEAD = """# Benchmarks

Written by these scripts with `--record`; `vista-fast bench --all -- --record` runs them all. Each figure is
the median of its repeats, beside its peers in the same process and in turns, with the lowest and the highest ratio of
the repeats. "Wanted" is what we mean to reach at least; what falls short is marked.
"""


SHORT = " **short**"


def finish(rows: list[Row], given: Options, script: str) -> None:
    """Prints the rows and, when they are to be recorded, keeps them and writes the table anew."""
    show(rows)
    if not given.record or given.quick:
        return
    results = FOLDER / "results"
    results.mkdir(exist_ok=True)
    name = Path(script).stem
    record = {"machine": machine(), "rows": [asdict(row) for row in rows]}
    (results / f"{name}.json").write_text(json.dumps(rounded(record), indent=1) + "\n", encoding="utf-8")
    (FOLDER / "README.md").write_text(table(results), encoding="utf-8")


def machine() -> dict[str, str]:
    """What the figures depend on."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpu": f"{model}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release().partition('-')[0]}, Python {platform.python_version()}",
        "libraries": ", ".join(installed()),
        "date": datetime.now(timezone.utc).date().isoformat(),
    }


def installed() -> list[str]:
    """Names and versions of what the peers come from, where it is here."""
    found = []
    for name in LIBRARIES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return found


def rounded(value: Any) -> Any:
    """The same with numbers of five digits, so that the files stay small."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value


def table(results: Path) -> str:
    """README.md of all results."""
    parts = [HEAD]
    for path in sorted(results.glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if "rows" not in record:
            continue
        rows = [Row(**{**row, "peers": [Peer(**peer) for peer in row["peers"]]}) for row in record["rows"]]
        about = record["machine"]
        parts.append(f"## {path.stem}.py\n")
        parts.append(f"{about['cpu']}, {about['memory']}; {about['system']}; {about['libraries']}; {about['date']}.\n")
        parts.append("| figure | ours | peers | ratio | wanted |\n|---|---|---|---|---|")
        parts += [cells(row) for row in rows]
        parts.append("")
        parts += [f"- {row.name}: bound by {row.bound_by}" for row in rows if row.bound_by]
        parts.append("")
    return "\n".join(parts)


def cells(row: Row) -> str:
    """The line of one row."""
    median = statistics.median(row.figures)
    beside, ratios, wanted = [], [], []
    if row.limit is not None:
        held = median <= row.limit if row.better == "lower" else median >= row.limit
        side = "at most" if row.better == "lower" else "at least"
        beside.append("")
        ratios.append("")
        wanted.append(f"{side} {amount(row.limit)} {row.unit}{'' if held else SHORT}")
    for peer in row.peers:
        each = row.ratios(peer)
        middle = statistics.median(each)
        beside.append(f"{peer.name}: {amount(statistics.median(peer.figures))}")
        ratios.append(f"{middle:.3g} ({min(each):.3g} to {max(each):.3g})")
        short = SHORT if peer.at_least is not None and middle < peer.at_least else ""
        wanted.append("" if peer.at_least is None else f"{peer.at_least:.3g}{short}")
    columns = (row.name, f"{amount(median)} {row.unit}", *("<br>".join(each) for each in (beside, ratios, wanted)))
    return "| " + " | ".join(columns) + " |"


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(table(FOLDER / "results"), encoding="utf-8")
    sys.exit(0)
