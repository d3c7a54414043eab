"""The generator's spans of work, stored beside the trajectories of a step for the timeline."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

from vista_fast.rollout.generator import DecodeSpan
from vista_fast.run_folder import storage_errors, whole_file


def write_spans(folder: Path, name: str, spans: Sequence[DecodeSpan]) -> Path:
    """Writes ``folder/name.spans.json``; returns its path. A full disk raises StorageError."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.spans.json"
    with whole_file(path) as partial:
        partial.write_text(json.dumps([astuple(span) for span in spans]), encoding="utf-8")
    return path


def read_spans(folder: Path, name: str) -> list[DecodeSpan]:
    """Reads back what ``write_spans`` wrote; empty when there is nothing of that name."""
    path = folder / f"{name}.spans.json"
    if not path.is_file():
        return []
    return [DecodeSpan(*fields) for fields in json.loads(path.read_text(encoding="utf-8"))]
