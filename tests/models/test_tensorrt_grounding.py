"""A real engine of a small Grounding DINO, built for a named GPU without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_grounding_dino import save_small_model

from vista_fast.models.backend import EngineCache, compile_engine
from vista_fast.models.grounding.export import INPUTS, exported
from vista_fast.models.grounding.profiles import grounding_profiles

CANVAS = (128, 192)


def test_grounding_is_built_for_the_shapes_of_the_op(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path / "weights"))
    network = exported(save_small_model(tmp_path / "small"), CANVAS)
    profiles = grounding_profiles(CANVAS, max_batch=8, longest=64)
    assert {name for profile in profiles for name, _ in profile.ranges} == set(INPUTS)
    made = compile_engine(
        network, profiles=profiles, library="tensorrt_rtx", target="sm89", cache=EngineCache(tmp_path / "engines")
    )
    assert made.stat().st_size > 8_000_000
