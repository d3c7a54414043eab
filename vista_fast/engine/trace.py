"""Trace: what the engine did, as a file for Perfetto or Chrome's trace viewer."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from heapq import heappop, heappush
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from vista_fast._core import EngineCore

_MICROSECONDS = 1e6
_OPS, _FLOWS = 1, 2
"""The two groups of rows, as process ids of the trace format."""


class Trace:
    """Records while its ``with`` block runs, and writes the file when it ends.

    One group of rows shows the Batches of each Op, the other the calls of each flow; what overlaps gets rows of its
    own. An arrow leads from each call to the Batch that ran it (the last one, where a Batch failed as a whole).
    """

    def __init__(self, core: EngineCore, path: Path, capacity: int) -> None:
        self._core = core
        self._path = path
        self._capacity = capacity

    def __enter__(self) -> Trace:
        self._core.start_trace(self._capacity)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        text = json.dumps({"traceEvents": trace_events(self._core.stop_trace())})
        partial = self._path.with_name(self._path.name + ".partial")
        try:
            partial.write_text(text)
            partial.replace(self._path)
        finally:
            partial.unlink(missing_ok=True)


class _Span(NamedTuple):
    start: float  # seconds
    end: float
    row: str
    name: str
    batch: int
    details: dict[str, Any]


def trace_events(recorded: dict[str, Any]) -> list[dict[str, Any]]:
    """Chrome trace events of what the core recorded."""
    ops = recorded["ops"]
    batches = [
        _Span(start, end, ops[op], f"{ops[op]} x {size}", batch, {"size": size})
        for op, batch, start, end, size in recorded["batches"]
    ]
    calls = [
        _Span(start, end, f"flow {flow:016x}", ops[op], batch, {"outcome": outcome, "status": status})
        for op, flow, start, end, outcome, status, batch in recorded["requests"]
    ]
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "pid": group, "args": {"name": name}}
        for group, name in ((_OPS, "Batches by Op"), (_FLOWS, "Calls by flow"))
    ]
    placed = {span.batch: event for span, event in _place(batches, _OPS, events)}
    for number, (span, event) in enumerate(_place(calls, _FLOWS, events)):
        if span.batch in placed:
            events += _arrow(number, event, placed[span.batch])
    if recorded["left_out"]:
        name = f"{recorded['left_out']} spans left out"
        events.append({"ph": "i", "s": "g", "name": name, "pid": _OPS, "tid": 0, "ts": 0})
    return events


class _Rows:
    """The numbers of the rows of one name."""

    def __init__(self) -> None:
        self._free: list[int] = []  # a heap
        self._busy: list[tuple[float, int]] = []  # a heap of when a row is free again, and its number

    def take(self, span: _Span) -> int | None:
        """The first row that is free at the span's start, if any. Spans come in the order of their starts."""
        while self._busy and self._busy[0][0] <= span.start:
            heappush(self._free, heappop(self._busy)[1])
        return heappop(self._free) if self._free else None

    def give(self, row: int, span: _Span) -> None:
        heappush(self._busy, (span.end, row))


def _place(spans: Iterable[_Span], group: int, events: list[dict[str, Any]]) -> list[tuple[_Span, dict[str, Any]]]:
    """Appends each span as a slice of the first row of its name that is free at its start."""
    rows_of: defaultdict[str, _Rows] = defaultdict(_Rows)
    rows = 0
    placed = []
    for span in sorted(spans, key=lambda span: (span.start, span.end)):
        own = rows_of[span.row]
        row = own.take(span)
        if row is None:
            row = rows
            events.append({"ph": "M", "name": "thread_name", "pid": group, "tid": row, "args": {"name": span.row}})
            rows += 1
        own.give(row, span)
        event = {
            "ph": "X",
            "cat": "batch" if group == _OPS else "call",
            "name": span.name,
            "pid": group,
            "tid": row,
            "ts": span.start * _MICROSECONDS,
            "dur": (span.end - span.start) * _MICROSECONDS,
            "args": span.details,
        }
        events.append(event)
        placed.append((span, event))
    return placed


def _arrow(number: int, call: dict[str, Any], batch: dict[str, Any]) -> list[dict[str, Any]]:
    """From the start of a call to the start of its Batch, or to the call's own start where it joined a running one."""
    arrow = {"cat": "batching", "name": "joins", "id": number}
    arrives = max(call["ts"], batch["ts"])
    return [
        {**arrow, "ph": "s", "pid": call["pid"], "tid": call["tid"], "ts": call["ts"]},
        {**arrow, "ph": "f", "bp": "e", "pid": batch["pid"], "tid": batch["tid"], "ts": arrives},
    ]
