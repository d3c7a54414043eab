"""Keeps figures in results/, one file for each benchmark, and writes the table of README.md from all of them."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from _measuring import Options, Peer, Profile, Row, amount, show, spread

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
    "onnxruntime",
    "rapidocr",
    "easyocr",
    "ray",
)

HEAD = """# Benchmarks

Written by these scripts with `--record`; `vista-fast bench -- --record --profile --verl-tool CHECKOUT` runs them all.
Each figure is the median of its repeats with the lowest and the highest, beside its peers in the same process and in
turns; so is each ratio. "Wanted" is what we mean to reach at least; what falls short is marked. "Physical limit" is the
figure that nothing could pass; under each table it says what that is, what bounds ours now, and where perf finds our
side's samples. `train_seeds.py` trains, and has its table in the README of the repository.
"""


SHORT = " **short**"


def finish(rows: Sequence[Row], given: Options, script: str, profiles: Sequence[Profile] = ()) -> None:
    """Prints the rows and, when they are to be recorded, keeps them and writes the table anew."""
    show(rows)
    for each in profiles:
        print(profile_line(each))
    if not given.record or given.quick:
        return
    results = FOLDER / "results"
    results.mkdir(exist_ok=True)
    name = Path(script).stem
    record = {
        "machine": machine(),
        "rows": [asdict(row) for row in rows],
        "profiles": [asdict(profile) for profile in profiles],
    }
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
    return [rounded(each) for each in value] if isinstance(value, (list, tuple)) else value


def table(results: Path) -> str:
    """README.md of all results."""
    records = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("*.json"))}
    return "\n".join([HEAD, *(section(name, record) for name, record in records.items() if "rows" in record)])


def section(name: str, record: dict[str, Any]) -> str:
    """The part of one benchmark."""
    rows = [Row(**{**row, "peers": [Peer(**peer) for peer in row["peers"]]}) for row in record["rows"]]
    about = record["machine"]
    parts = [
        f"## {name}.py\n",
        f"{about['cpu']}, {about['memory']}; {about['system']}; {about['libraries']}; {about['date']}.\n",
        "| figure | ours | peers | ratio | wanted | physical limit |\n|---|---|---|---|---|---|",
        *(cells(row) for row in rows),
        "",
        *notes(rows),
        *(f"- {profile_line(Profile(**profile))}" for profile in record.get("profiles", [])),
        "",
    ]
    return "\n".join(parts)


def cells(row: Row) -> str:
    """The line of one row."""
    beside, ratios, wanted = [], [], []
    if row.limit is not None:
        middle = statistics.median(row.figures)
        held = middle <= row.limit if row.better == "lower" else middle >= row.limit
        side = "at most" if row.better == "lower" else "at least"
        beside.append("")
        ratios.append("")
        wanted.append(f"{side} {amount(row.limit)} {row.unit}{'' if held else SHORT}")
    for peer in row.peers:
        each = row.ratios(peer)
        beside.append(f"{peer.name}: {amount(statistics.median(peer.figures))}")
        ratios.append(spread(each))
        short = SHORT if peer.at_least is not None and statistics.median(each) < peer.at_least else ""
        wanted.append("" if peer.at_least is None else f"{peer.at_least:.3g}{short}")
    columns = (row.name, own(row), *("<br>".join(each) for each in (beside, ratios, wanted)), furthest(row))
    return "| " + " | ".join(columns) + " |"


def own(row: Row) -> str:
    """Our figure with its spread, where it was measured more than once."""
    middle, low, high = (amount(each(row.figures)) for each in (statistics.median, min, max))
    return f"{middle} {row.unit}" + (f" ({low} to {high})" if len(row.figures) > 1 else "")


def furthest(row: Row) -> str:
    return "" if row.physical is None else f"{amount(row.physical)} {row.unit}"


def notes(rows: Sequence[Row]) -> list[str]:
    """What bounds the rows and what their limits are, once for all rows that share it."""
    sharing: dict[str, list[str]] = {}
    for row in rows:
        texts = [f"bound by {row.bound_by}"] if row.bound_by else []
        texts += [f"physical limit: {row.physical_is}"] if row.physical_is else []
        if texts:
            sharing.setdefault("; ".join(texts), []).append(row.name)
    return [f"- {'all' if len(names) == len(rows) else ', '.join(names)}: {text}" for text, names in sharing.items()]


def profile_line(profile: Profile) -> str:
    """A profile in a line."""
    return f"profile of {profile.of}: {', '.join(f'{share:.0f} % {name}' for name, share in profile.shares)}"


if __name__ == "__main__":
    (FOLDER / "README.md").write_text(table(FOLDER / "results"), encoding="utf-8")
    sys.exit(0)
