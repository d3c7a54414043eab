"""Where our side spends its time: perf watches this process while nothing but our side runs."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path
from shutil import which

from _measuring import Options, Profile, Work

SECONDS, FIRST = 2.0, 5
STARTS_WITHIN = 5.0
TEMPLATE = re.compile(r"<[^<>]*>")
ADDRESS = re.compile(r"0x[0-9a-f]+$")


def profiled(given: Options, of: str, work: Work) -> list[Profile]:
    """The symbols in which ``work``, run again and again, is found most often; none unless asked for."""
    if not given.profile:
        return []
    if which("perf") is None:
        print(f"profile of {of}: left out, perf is not installed")
        return []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "perf.data")
        problem = _record(data, work, 0.5 if given.quick else SECONDS)
        shares = _shares(data) if not problem else []
    if not shares:
        print(f"profile of {of}: left out, perf has no samples {problem}")
        return []
    return [Profile(of, shares)]


def _record(data: Path, work: Work, at_least: float) -> str:
    """Attaches to this process, so that what ``work`` needs is there already; what perf said, where it failed."""
    work()
    command = ["perf", "record", "--freq", "499", "--pid", str(os.getpid()), "--output", str(data)]
    perf = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + STARTS_WITHIN
    while not (data.exists() and data.stat().st_size) and perf.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    until = time.monotonic() + at_least
    while time.monotonic() < until and perf.poll() is None:
        work()
    perf.send_signal(2)
    _, said = perf.communicate()
    return "" if data.exists() and data.stat().st_size else said.strip().partition("\n")[0]


def _shares(data: Path) -> list[tuple[str, float]]:
    command = ["perf", "report", "--input", str(data), "--sort", "dso,symbol", "--stdio", "--field-separator", "|"]
    report = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    shares: Counter[str] = Counter()
    for line in report.splitlines():
        columns = [column.strip() for column in line.split("|")]
        if len(columns) >= 3 and columns[0].endswith("%"):
            shares[_name(columns[1], columns[2])] += float(columns[0].rstrip("%"))  # type: ignore[assignment]
    return [(name, round(share, 1)) for name, share in shares.most_common(FIRST)]


def _name(dso: str, symbol: str) -> str:
    """The library, and the function where it is told."""
    if dso.startswith("[JIT]"):
        return "code compiled as it runs"
    library = "kernel" if dso.startswith("[kernel") else re.sub(r"(\.cpython-[^.]*)?(\.abi3)?\.so[.\d]*$", "", dso)
    library = re.sub(r"-[0-9a-f]{8}(?=$|[-.])", "", library)
    function = symbol.partition("]")[2].strip()
    if library == "kernel" or not function or ADDRESS.match(function):
        return library
    return f"{library} {_short(function)}"


def _short(function: str) -> str:
    """Without templates' arguments, parameters and outer namespaces."""
    function = function.replace("(anonymous namespace)::", "")
    while (shorter := TEMPLATE.sub("", function)) != function:
        function = shorter
    return "::".join(function.partition("(")[0].rpartition(" ")[2].split("::")[-2:])
