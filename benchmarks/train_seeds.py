"""What GRPO adds to its SFT start: three seeds, one held-out set, with tools and without, and the oracle teacher
beside them.

    python benchmarks/train_seeds.py --run runs/seeds [--seeds 0 1 2] [--oracle FOLDER] [--preset tiny]

Each seed is a whole ``vista-fast train`` in its own folder, and the oracle's pupil a whole ``vista-fast sft --teacher
oracle``, unless ``--oracle`` names weights of one. A second call goes on where the first was ended. The table goes to
``RUN/seeds.md`` and ``RUN/seeds.json``. It trains for hours, so ``vista-fast bench`` runs it by name alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vista_fast.cli.machine import Machine, describe
from vista_fast.cli.recording import record_run
from vista_fast.train.config import TrainConfig, preset
from vista_fast.train.metrics import EvalMetrics, Listener
from vista_fast.train.run import evaluate_policies, finished, train_grpo, train_sft


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the runs and of the table")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--preset", default="tiny")
    parser.add_argument("--start", type=Path, help="SFT weights (default: the shipped ones)")
    parser.add_argument("--oracle", type=Path, help="weights of SFT on the oracle teacher (default: train them)")
    options = parser.parse_args()

    results: dict[str, list[EvalMetrics]] = {}
    for seed in options.seeds:
        start = str(options.start.resolve()) if options.start else None
        config = preset(options.preset, seed=seed, start=start)
        folder = options.run / f"seed-{seed}"

        def job(path: Path, listener: Listener, config: TrainConfig = config) -> object:
            return train_grpo(config, path, resume=True, on_event=listener)

        record_run("train", folder, config, job, resume=True)
        for row in _table(folder, config):
            results.setdefault(row.policy, []).append(row)
    oracle = evaluate_policies(preset(options.preset), {ORACLE: options.oracle or _oracle(options)})
    results[ORACLE] = [row for row in oracle if row.policy == ORACLE]
    write(options.run, results, preset(options.preset), options.seeds)


def _oracle(options: argparse.Namespace) -> Path:
    """The folder of weights from SFT on the oracle teacher, trained where they are not there yet."""
    config = preset(options.preset)
    config = dataclasses.replace(config, sft=dataclasses.replace(config.sft, teacher="oracle"))
    folder: Path = options.run / "oracle"
    weights = folder / "weights"

    def job(path: Path, listener: Listener) -> object:
        return train_sft(config, path, resume=True, on_event=listener)

    record_run("sft", folder, config, job, resume=True)
    return weights


def _table(folder: Path, config: TrainConfig) -> list[EvalMetrics]:
    result = finished(folder, config)
    if result is None:
        raise SystemExit(f"{folder} has no whole table; run this command again to go on with it")
    return result.table


ORACLE = "SFT, oracle teacher"


def write(folder: Path, results: dict[str, list[EvalMetrics]], config: TrainConfig, seeds: Sequence[int]) -> None:
    """The table as Markdown and JSON, and as text on the screen."""
    machine = _summary(describe())
    head = f"Held-out accuracy on {config.eval.tasks} tasks of mini, mean of {len(seeds)} seeds (each). {machine}."
    lines = [
        head,
        "",
        "| policy | with tools, T = 1 | with tools, greedy | without tools, greedy |",
        "|---|---|---|---|",
    ]
    for policy, rows in results.items():
        cells = [_cell(rows, *setting) for setting in ((True, 1.0), (True, 0.0), (False, 0.0))]
        lines.append(f"| {policy} | {' | '.join(cells)} |")
    lines += ["", "| greedy, with tools | " + " | ".join(FAMILIES) + " |", "|---|" + "---|" * len(FAMILIES)]
    for policy, rows in results.items():
        chosen = _rows(rows, True, 0.0)
        means = [statistics.mean(row.families[family] for row in chosen) for family in FAMILIES]
        lines.append(f"| {policy} | " + " | ".join(f"{mean:.1%}" for mean in means) + " |")
    text = "\n".join(lines) + "\n"
    record: dict[str, Any] = {
        "machine": machine,
        "config": config.to_dict(),
        "seeds": list(seeds),
        "results": {policy: [dataclasses.asdict(row) for row in rows] for policy, rows in results.items()},
    }
    (folder / "seeds.md").write_text(text, encoding="utf-8")
    (folder / "seeds.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(text)


def _summary(machine: Machine) -> str:
    return f"{machine.cpu}, {machine.cores} cores, {machine.memory / 2**30:.0f} GiB, Python {machine.python}"


FAMILIES = ("charts", "documents", "scenes")


def _rows(rows: Sequence[EvalMetrics], tools: bool, temperature: float) -> list[EvalMetrics]:
    return [row for row in rows if row.tools == tools and row.temperature == temperature]


def _cell(rows: Sequence[EvalMetrics], tools: bool, temperature: float) -> str:
    values = [row.accuracy for row in _rows(rows, tools, temperature)]
    each = ", ".join(f"{100 * value:.1f}" for value in values)
    return f"{statistics.mean(values):.1%} ({each})"


if __name__ == "__main__":
    main()
