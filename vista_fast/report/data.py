"""What the report shows, read from a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vista_fast.report.results import ResultTable, result_table
from vista_fast.report.spans import read_spans
from vista_fast.run_folder import RunFolder

if TYPE_CHECKING:
    from vista_fast.rollout.generator import DecodeSpan
    from vista_fast.types import Trajectory

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredStep:
    """The trajectories of one step of a ``stage``, with their images, and the generator's spans where kept."""

    stage: str
    step: int
    trajectories: Sequence[Trajectory]
    spans: Sequence[DecodeSpan] = ()


@dataclass(frozen=True, slots=True)
class RunData:
    """A run: its name and settings, its records by kind, its final table, and the first and last stored steps."""

    name: str
    config: Record
    sft: Sequence[Record]
    grpo: Sequence[Record]
    results: ResultTable
    steps: Sequence[StoredStep]


def read_run(path: Path) -> RunData:
    """Reads the run at ``path``. What the run has not reached yet is empty.

    Raises NotFoundError when ``path`` holds no run, MissingExtraError when it holds trajectories and pyarrow is absent.
    """
    folder = RunFolder.open(path)
    return RunData(
        name=folder.path.resolve().name,
        config=folder.config,
        sft=folder.metrics("SftMetrics"),
        grpo=folder.metrics("GrpoMetrics"),
        results=result_table(folder.metrics("EvalMetrics")),
        steps=_first_and_last(folder.trajectories),
    )


def step_file(stage: str, step: int) -> str:
    """The name under which the trajectories of a step are stored, so that names sort as steps do."""
    return f"{stage}-{step:06d}"


def _first_and_last(folder: Path) -> list[StoredStep]:
    stored = sorted(folder.glob("grpo-*.parquet"))
    if not stored:
        return []
    from vista_fast.engine import Engine
    from vista_fast.rollout.store import read_trajectories

    steps = []
    with Engine(threads=1) as engine:
        for file in dict.fromkeys((stored[0], stored[-1])):
            stage, _, step = file.stem.partition("-")
            trajectories = read_trajectories(file, engine)
            if trajectories:
                steps.append(StoredStep(stage, int(step), trajectories, read_spans(folder, file.stem)))
    return steps
