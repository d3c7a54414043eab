from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from engine_gate import Gate

import vista_fast as vf


@pytest.fixture
def engine() -> Iterator[vf.Engine]:
    with vf.Engine(threads=2) as engine:
        yield engine


@pytest.fixture
def gate(engine: vf.Engine) -> Iterator[Gate]:
    """The Op "gate", one call per Batch, on one puller."""
    gate = Gate()
    engine.register(vf.Op("gate", "1", policy=vf.BatchPolicy(max_batch=1), run=gate))
    yield gate
    gate.opened.set()


@pytest.fixture
def double(engine: vf.Engine) -> list[int]:
    """The Op "double"; gives the list of its batch sizes."""
    sizes: list[int] = []

    def run(calls: list[dict[str, Any]]) -> list[Any]:
        sizes.append(len(calls))
        return [2 * call["x"] for call in calls]

    engine.register(vf.Op("double", "1", run=run))
    return sizes
