"""A real engine of a small Grounding DINO, built for a named GPU without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from ahead_of_time import builds
from small_grounding_dino import save_small_model

from vista_fast.models.backend import EngineCache
from vista_fast.models.grounding import GroundingConfig
from vista_fast.models.grounding.dino import GroundingDino
from vista_fast.models.grounding.export import INPUTS


def test_grounding_is_built_for_all_shapes_of_its_op(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the longest canvas of the true models, for captions of any length that they take."""
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path / "weights"))
    built = builds(EngineCache(tmp_path / "engines"), monkeypatch)
    folder = save_small_model(tmp_path / "small", shortest_edge=800, longest_edge=1333)
    config = GroundingConfig(backend="tensorrt_rtx")
    model = GroundingDino(folder, config)
    canvas, _ = model.batch_key(1333, 600, "a cup.")
    assert canvas == (800, 1344)
    model._network(canvas)
    (network,) = built
    (profile,) = network.profiles
    assert network.size > 8_000_000
    assert {name for name, _ in profile.ranges} == set(INPUTS)
    most = dict.fromkeys(INPUTS, (config.max_batch, 256))
    assert profile.holds({**most, "pixels": (config.max_batch, 3, *canvas), "covered": (config.max_batch, 2)})
