"""Tools and the policy's eyes over images that live on a device: torch's CPU here."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import numpy as np
import pytest
import torch

import vista_fast as vf
from vista_fast.devices import DeviceImage, DeviceStore, DeviceTensor, register_preprocess
from vista_fast.envs.stage import pixels
from vista_fast.report.stories import data_url
from vista_fast.rollout.vision import Preprocessor, VisionSettings
from vista_fast.tools.tool import CallContext, Tool


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


async def test_a_tool_copies_an_image_once_however_many_ops_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = []
    to_host = DeviceImage.to_host
    monkeypatch.setattr(DeviceImage, "to_host", lambda self: copies.append(self) or to_host(self))
    with vf.Engine(threads=1) as engine:
        host = engine.image(noise())
        there = DeviceStore("cpu").put(host)
        context = CallContext(engine, [there])
        for _ in range(3):
            calls = [{"image": there, "angle": 90}, {"image": host, "angle": 90}, {"image": noise(), "angle": 90}]
            first, second, third = await context.ops("image.rotate", calls)
            assert first.hash == second.hash == third.hash
    assert copies == [there]


def test_a_tensor_is_no_image_to_show() -> None:
    class Tells(Tool):
        name = "tells"
        description = "Gives what it should not."
        parameters: ClassVar[dict] = {"type": "object", "properties": {}}

        async def run(self, call: CallContext, /, **_) -> vf.Observation:
            return vf.Observation(images=(DeviceTensor(torch.zeros(2, 2, 3)),))  # type: ignore[arg-type]

    with vf.Engine(threads=1) as engine:
        seen = asyncio.run(vf.Toolbox(engine, [Tells()]).call(vf.ToolCall("tells"), images=[]))
    assert seen.error is not None
    assert "DeviceTensor among its images" in seen.text


def test_a_call_may_be_expected_in_both_places() -> None:
    ran: list[int] = []

    def note(calls: list[dict]) -> list[int]:
        ran.append(len(calls))
        return [0] * len(calls)

    policy = vf.BatchPolicy(max_batch=2, max_delay=10.0)
    with vf.Engine(threads=1) as engine:
        engine.register(vf.Op("test.there", "1", policy=policy, run=note, cacheable=False, image_types=(DeviceImage,)))
        engine.redirect("image.zoom", DeviceImage, "test.there")
        there = DeviceStore("cpu").put(engine.image(noise()))
        with engine.expect("image.zoom", flow="a"), engine.expect("image.zoom", flow="b"):
            first = engine.submit("image.zoom", there, flow="a")
            second = engine.submit("image.zoom", there, flow="b")
            assert (first.result(5), second.result(5), ran) == (0, 0, [2])
