"""Compares every kernel and model on a GPU with the CPU path, and times kernels beside peers and Ops beside the CPU.

Prints what it finds, and writes ``gpu.json`` and the table ``gpu.md`` into ``--results``. Exit codes: 0 all agree, or
there is no usable GPU, which it says; 2 something disagrees.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

EXIT_DISAGREES = 2


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--results", type=Path, default=Path("benchmarks/gpu"), help="folder of the JSON and table")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--seconds", type=float, default=0.5, help="time spent measuring each candidate")
    options.add_argument("--tests", type=Path, help="pytest's JUnit report of the tests marked gpu")
    arguments = options.parse_args()

    tests = outcome(arguments.tests)
    problem = gpu_problem()
    if problem is not None:
        print(f"gpu_check: nothing was compared or measured: {problem}; tests marked gpu: {tests}")
        return EXIT_DISAGREES if tests.startswith("failed") else 0

    # After the question above, because these need a GPU's libraries.
    from gpu_bench import copy_bandwidth, measure_each
    from gpu_ops import measure_ops
    from gpu_parity import check_all

    agreements = check_all(arguments.seed)
    report: dict[str, Any] = {"machine": machine(), "commit": commit(), "seed": arguments.seed, "gpu_tests": tests}
    report["parity"] = [agreement.record() for agreement in agreements]
    report["records"], report["ops"] = [], []
    save(report, arguments.results)
    try:
        report["copy_bandwidth_bytes_per_s"] = bandwidth = copy_bandwidth()
        for record in measure_each(arguments.seed, arguments.seconds, bandwidth):
            report["records"].append(record)
            save(report, arguments.results)  # as far as it has come, should it be cut short
        for measured in measure_ops("cuda"):
            report["ops"].append(measured)
            save(report, arguments.results)
    except Exception as error:  # what was compared must not be lost with the times
        report["note"] = f"The times end with {type(error).__name__}: {error}"[:300]
        save(report, arguments.results)
    print(table(report))
    print(f"wrote {arguments.results / 'gpu.json'} and {arguments.results / 'gpu.md'}")
    disagree = any(agreement.agrees is False for agreement in agreements) or tests.startswith("failed")
    disagree |= "note" in report or any(measured["failed"] for measured in report["ops"])
    return EXIT_DISAGREES if disagree else 0


def save(report: dict[str, Any], folder: Path) -> None:
    """The report as ``gpu.json`` and its table as ``gpu.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpu.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / "gpu.md").write_text(table(report))


def outcome(report: Path | None) -> str:
    """What a JUnit report says in a few words: "failed: …", "passed: …", or "not run"."""
    if report is None:
        return "not run"
    try:
        suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    except (OSError, ElementTree.ParseError) as error:
        return f"failed: no report of them ({error})"
    total, skipped, wrong = (
        sum(int(suite.get(name, 0)) for suite in suites for name in names)
        for names in (("tests",), ("skipped",), ("failures", "errors"))
    )
    if wrong:
        return f"failed: {wrong} of {total}"
    return f"passed: {total - skipped}, skipped: {skipped}" if total > skipped else f"not run: {skipped} skipped"


def gpu_problem() -> str | None:
    """Why nothing can be measured here, or None."""
    if os.environ.get("TRITON_INTERPRET", "0") not in ("", "0"):
        return "TRITON_INTERPRET is set, so kernels would be interpreted on the CPU; unset it"
    try:
        import torch
    except ImportError:
        return "torch is not installed; pip install torch (a build for CUDA)"
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA; install a build for CUDA"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} finds no CUDA device; check nvidia-smi and the driver"
    try:
        import vista_fast.kernels.crop_resize  # noqa: F401
    except ImportError as error:
        return str(error)
    return None


def commit() -> str:
    """Of the checkout, as git says, or where it is a copy without its history, as COMMIT does."""
    root = Path(__file__).resolve().parent.parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("COMMIT", "unknown")


def machine() -> dict[str, str]:
    import torch
    import triton

    return {
        "gpu": torch.cuda.get_device_name(),
        "capability": ".".join(map(str, torch.cuda.get_device_capability())),
        "cuda": str(torch.version.cuda),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "python": platform.python_version(),
        "cores": str(len(os.sched_getaffinity(0))),
    }


def table(report: dict[str, Any]) -> str:
    """The report in Markdown: milliseconds (median), share of copy bandwidth, and ratio to the best of ours."""
    compared = [one["agrees"] for one in report["parity"] if one["agrees"] is not None]
    lines = [
        f"On {report['machine']['gpu']} (torch {report['machine']['torch']}, Triton {report['machine']['triton']}), "
        f"commit {report['commit']}: "
        f"{sum(compared)} of {len(compared)} comparisons with the CPU path agree; tests marked gpu: "
        f"{report['gpu_tests']}{_bandwidth(report)}.",
        "",
        "| crop + resize + normalise + patchify | by | ms | of copy bandwidth | slower than ours |",
        "|---|---|---|---|---|",
    ]
    for record in report["records"]:
        for name, times in record["ms"].items():
            ratios = record["ratio"].get(name)
            ratio = f"{statistics.median(ratios):.1f}× ({min(ratios):.1f} to {max(ratios):.1f})" if ratios else ""
            share = f"{100 * record['share_of_copy_bandwidth'][name]:.0f} %"
            lines.append(f"| {record['workload']} | {name} | {statistics.median(times):.3f} | {share} | {ratio} |")
        for name, why in record["not_measured"].items():
            lines.append(f"| {record['workload']} | {name} | not measured: {why} | | |")
    if report["ops"]:
        lines += ["", f"Ops on networks, images per second ({report['machine']['cores']} cores on the CPU):", ""]
        lines += ["| Op | GPU | CPU | faster |", "|---|---|---|---|"]
    lines += [_op_row(measured) for measured in report["ops"]]
    if "note" in report:
        lines += ["", report["note"]]
    return "\n".join(lines) + "\n"


def _op_row(measured: dict[str, Any]) -> str:
    if measured["not_measured"]:
        return f"| {measured['op']} | not measured: {measured['not_measured']} | | |"
    rates, ratios = measured["images_per_s"], measured["ratio"]
    sides = [f"{statistics.median(rates[name]):.1f} ({library})" for name, library in measured["libraries"].items()]
    faster = f"{statistics.median(ratios):.1f}× ({min(ratios):.1f} to {max(ratios):.1f})"
    return f"| {' | '.join([measured['op'], *sides, faster])} |"


def _bandwidth(report: dict[str, Any]) -> str:
    found = report.get("copy_bandwidth_bytes_per_s")
    return "" if found is None else f"; copy bandwidth {found / 1e9:.0f} GB/s"


if __name__ == "__main__":
    sys.exit(main())
