"""Networks as Ops open them on tensorrt_rtx, built ahead of time for a GPU that is not here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from vista_fast.models.backend import EngineCache, Model, Precision, Profile, compile_engine, registry
from vista_fast.models.backend.onnxruntime import OnnxRuntimeModel

TARGET = "sm89"


@dataclass(frozen=True)
class Built:
    """How a network was opened: its engine, of so many bytes, was built in this precision for these shapes."""

    precision: Precision
    profiles: Sequence[Profile]
    size: int


def builds(cache: EngineCache, monkeypatch: pytest.MonkeyPatch) -> list[Built]:
    """Every network that is opened on tensorrt_rtx from now on, and built for TARGET as it would be for a GPU here.

    What opens it gets ONNX Runtime's, because nothing here runs an engine.
    """
    made: list[Built] = []

    def load(path: Path, *, precision: Precision, profiles: Sequence[Profile], **_: Any) -> Model:
        engine = compile_engine(
            path, profiles=profiles, precision=precision, library="tensorrt_rtx", target=TARGET, cache=cache
        )
        made.append(Built(precision, profiles, engine.stat().st_size))
        return OnnxRuntimeModel(path, threads=1, precision="f32")

    monkeypatch.setitem(registry._BACKENDS, "tensorrt_rtx", load)
    return made
