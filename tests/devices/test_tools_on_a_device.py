"""Tools and the policy's eyes over images that live on a device: torch's CPU here."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

import vista_fast as vf
from vista_fast.devices import DeviceImage, DeviceStore, DeviceTensor, register_preprocess
from vista_fast.envs.stage import pixels
from vista_fast.report.stories import data_url
from vista_fast.rollout.vision import Preprocessor, VisionSettings


def noise(height: int = 60, width: int = 80) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)


def call(engine: vf.Engine, tool: str, image: vf.Image | DeviceImage, **arguments) -> vf.Observation:
    return asyncio.run(vf.Toolbox.default(engine).call(vf.ToolCall(tool, arguments), images=[image]))


@pytest.mark.parametrize(
    ("tool", "arguments"), [("zoom", {"bbox_2d": [3, 4, 40, 30]}), ("rotate", {"angle": 90}), ("nothing", {})]
)
def test_a_tool_whose_op_is_not_on_the_device_works_on_a_copy(tool: str, arguments: dict) -> None:
    with vf.Engine(threads=1) as engine:
        host = engine.image(noise())
        want = call(engine, tool, host, **arguments)
        got = call(engine, tool, DeviceStore("cpu").put(host), **arguments)
    assert got.text == want.text
    assert [image.hash for image in got.images] == [image.hash for image in want.images]


def test_a_tool_runs_where_its_image_lives() -> None:
    def halve(calls: list[dict]) -> list[DeviceImage]:
        return [DeviceImage(one["image"].pixels()[::2, ::2].contiguous(), "0" * 32) for one in calls]

    with vf.Engine(threads=1) as engine:
        engine.register(vf.Op("test.halve", "1", run=halve, cacheable=False))
        engine.redirect("image.zoom", DeviceImage, "test.halve")
        there = DeviceStore("cpu").put(engine.image(noise()))
        seen = call(engine, "zoom", there, bbox_2d=[0, 0, 80, 60])
    (shown,) = seen.images
    assert isinstance(shown, DeviceImage)
    assert "40x30" in seen.text
    np.testing.assert_array_equal(pixels([shown])[0], noise()[::2, ::2])
    assert data_url(shown).startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize("registered", [True, False])
def test_the_policy_sees_what_it_sees_of_the_host_image(registered: bool) -> None:
    with vf.Engine(threads=1) as engine:
        store = DeviceStore("cpu")
        if registered:
            register_preprocess(engine, store)
        host = engine.image(noise())
        eyes = Preprocessor(engine, VisionSettings())
        (want,) = eyes.patches_now([host])
        for got in (*eyes.patches_now([store.put(host)]), *asyncio.run(eyes.patches([store.put(host)]))):
            assert isinstance(got.values, DeviceTensor) == registered
            values = got.values.to_host() if isinstance(got.values, DeviceTensor) else got.values
            assert (got.grid, got.hash) == (want.grid, want.hash)
            assert np.abs(values - want.values).max() <= 2 / 255 / 0.26


def test_a_trajectory_is_stored_with_a_copy(tmp_path: Path) -> None:
    from vista_fast.rollout.store import _write_image

    image = DeviceStore("cpu").put(vf.Image.from_array(noise()))
    _write_image(tmp_path / "one.png", image)
    with vf.Engine(threads=1) as engine:
        np.testing.assert_array_equal(engine.image(tmp_path / "one.png"), noise())
