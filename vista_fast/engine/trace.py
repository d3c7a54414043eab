"""Trace: what the engine did, as a file for Chrome's trace viewer or Perfetto."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vista_fast._core import EngineCore

_MICROSECONDS = 1e6


class Trace:
    """Records while its ``with`` block runs, and writes the file when it ends.

    Each Op is a track with its Batches; each call is an asynchronous span from its submission to its completion.
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
        text = json.dumps({"traceEvents": _events(self._core.stop_trace())})
        partial = self._path.with_name(self._path.name + ".partial")
        try:
            partial.write_text(text)
            partial.replace(self._path)
        finally:
            partial.unlink(missing_ok=True)


def _events(spans: dict[str, Any]) -> list[dict[str, Any]]:
    pid = os.getpid()
    events: list[dict[str, Any]] = [
        {"ph": "M", "name": "thread_name", "pid": pid, "tid": op, "args": {"name": name}}
        for op, name in enumerate(spans["ops"])
    ]
    for op, started, ended, size in spans["batches"]:
        events.append(
            {
                "ph": "X",
                "cat": "batch",
                "name": f"{spans['ops'][op]} x {size}",
                "pid": pid,
                "tid": op,
                "ts": started * _MICROSECONDS,
                "dur": (ended - started) * _MICROSECONDS,
                "args": {"size": size},
            }
        )
    for number, (op, flow, arrived, completed, outcome, status) in enumerate(spans["requests"]):
        call = {"cat": "call", "name": spans["ops"][op], "id": number, "pid": pid, "tid": op}
        details = {"flow": f"{flow:016x}", "outcome": outcome, "status": status}
        events.append({**call, "ph": "b", "ts": arrived * _MICROSECONDS, "args": details})
        events.append({**call, "ph": "e", "ts": completed * _MICROSECONDS})
    if spans["left_out"]:
        events.append(
            {"ph": "i", "s": "g", "name": f"{spans['left_out']} spans left out", "pid": pid, "tid": 0, "ts": 0}
        )
    return events
