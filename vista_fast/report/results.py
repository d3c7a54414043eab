"""The table at the end of a run: what each policy reached on held-out tasks, with and without tools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Setting:
    """How a policy was measured: one column of the table."""

    tools: bool
    temperature: float

    @property
    def title(self) -> str:
        """As the column's head says it."""
        decoding = "greedy" if self.temperature == 0 else f"T = {self.temperature:g}"
        return f"{'with' if self.tools else 'without'} tools, {decoding}"


@dataclass(frozen=True, slots=True)
class Cell:
    """Accuracy (0 to 1) and mean reward over ``tasks`` tasks; ``families`` maps a family to its accuracy."""

    accuracy: float
    reward: float
    tasks: int
    lost: int
    families: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class ResultTable:
    """``cells[policy, setting]`` for the policies and settings that were measured, in the order of their first
    measurement (settings: with tools first, hottest first). A pair that was not measured has no cell."""

    policies: tuple[str, ...]
    settings: tuple[Setting, ...]
    cells: Mapping[tuple[str, Setting], Cell]


def result_table(records: Iterable[Mapping[str, Any]]) -> ResultTable:
    """From records of event "EvalMetrics" (see ``vista_fast.train.metrics``); the last of a pair counts."""
    cells: dict[tuple[str, Setting], Cell] = {}
    for record in records:
        key = (record["policy"], Setting(bool(record["tools"]), float(record["temperature"])))
        cells[key] = Cell(
            record["accuracy"], record["reward"], record["tasks"], record.get("lost", 0), record.get("families", {})
        )
    policies = tuple(dict.fromkeys(policy for policy, _ in cells))
    settings = sorted({setting for _, setting in cells}, key=lambda each: (not each.tools, -each.temperature))
    return ResultTable(policies, tuple(settings), cells)
