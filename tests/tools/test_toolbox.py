"""The Toolbox itself: what it offers, how calls are recorded, what is raised, tools of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

import vista_fast as vf
from vista_fast.tools import CallContext, Tool, ToolFailure
from vista_fast.types import Observation


class Brightness(Tool):
    """Two Ops in a row: turns the image, then takes its mean."""

    name = "brightness"
    description = "How bright an image is."
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"unit": {"type": "string", "enum": ["share", "level"]}},
        "required": ["unit"],
    }

    async def run(self, call: CallContext, /, *, unit: str) -> Observation:
        turned = await call.op("image.rotate", call.image(), angle=90.0)
        mean = await call.op("test.mean", turned)
        if mean == 0:
            raise ToolFailure("E5", "The image is black; look at another one.")
        return Observation(f"{mean / 255 if unit == 'share' else mean:.2f}")


def register_mean(engine: vf.Engine, **options: Any) -> list[int]:
    """The Op test.mean; returns the sizes of its batches as they come."""
    sizes: list[int] = []

    def mean(calls: Sequence[Mapping[str, Any]]) -> list[float]:
        sizes.append(len(calls))
        return [float(np.asarray(call["image"]).mean()) for call in calls]

    engine.register(vf.Op("test.mean", "1", policy=vf.BatchPolicy(max_batch=8, max_delay=0.001), run=mean, **options))
    return sizes


def grey(engine: vf.Engine, level: int) -> vf.Image:
    return engine.image(np.full((4, 6, 3), level, np.uint8))


async def test_a_tool_of_ones_own(engine: vf.Engine, toolbox: vf.Toolbox) -> None:
    register_mean(engine)
    more = toolbox.adding(Brightness())
    assert more.names == ("zoom", "rotate", "brightness")
    call = vf.ToolCall("brightness", {"unit": "share"})
    assert (await more.call(call, images=[grey(engine, 51)])).text == "0.20"
    black = await more.call(call, images=[grey(engine, 0)])
    assert black.error is not None
    assert (black.error.kind, black.text) == ("E5", "The image is black; look at another one.")
    wrong = await more.call(vf.ToolCall("brightness", {"unit": "lux"}), images=[grey(engine, 51)])
    assert wrong.text == 'unit must be one of "share", "level", got "lux".'


async def test_the_record_tells_run_joined_and_cached(engine: vf.Engine, toolbox: vf.Toolbox, image: vf.Image) -> None:
    call = vf.ToolCall("zoom", {"bbox_2d": [0, 0, 50, 50]})
    records = [record for _, record in await asyncio.gather(*(toolbox.record(call, images=[image]) for _ in range(4)))]
    assert sorted(record.outcome for record in records)[-1] == "run"
    assert [record.outcome for record in records].count("run") == 1
    seen, record = await toolbox.record(call, images=[image])
    assert record.outcome == "cached"
    assert record.error is None
    assert record.submitted <= record.completed
    assert engine.stats()["ops"]["image.zoom"]["batches"] == 1
    assert seen.images[0].width == 224


async def test_a_call_is_run_when_any_of_its_ops_is(engine: vf.Engine, toolbox: vf.Toolbox, image: vf.Image) -> None:
    register_mean(engine)
    await toolbox.call(vf.ToolCall("rotate", {"angle": 90}), images=[image])
    more = toolbox.adding(Brightness())
    call = vf.ToolCall("brightness", {"unit": "level"})
    outcomes = [(await more.record(call, images=[image]))[1].outcome for _ in range(2)]
    assert outcomes == ["run", "cached"]


async def test_an_op_that_fails_is_an_unusable_result(engine: vf.Engine, toolbox: vf.Toolbox) -> None:
    def broken(calls: Sequence[Mapping[str, Any]]) -> list[float]:
        raise RuntimeError("out of paper")

    engine.register(vf.Op("test.mean", "1", policy=vf.BatchPolicy(max_batch=8), run=broken))
    more = toolbox.adding(Brightness())
    seen = await more.call(vf.ToolCall("brightness", {"unit": "share"}), images=[grey(engine, 9)])
    assert seen.error is not None
    assert seen.error.kind == "E5"
    assert "out of paper" in seen.text


async def test_an_expired_call_raises(engine: vf.Engine, toolbox: vf.Toolbox, image: vf.Image) -> None:
    with pytest.raises(vf.errors.DeadlineExceededError):
        await toolbox.call(vf.ToolCall("rotate", {"angle": 33}), images=[image], deadline=0.0)


async def test_a_closed_engine_raises(image: vf.Image) -> None:
    engine = vf.Engine(threads=1)
    toolbox = vf.Toolbox.default(engine, ocr=None)
    engine.close()
    with pytest.raises(vf.errors.VistaError, match="closed"):
        await toolbox.call(vf.ToolCall("rotate", {"angle": 33}), images=[image])


async def test_the_first_failure_cancels_the_other_ops(engine: vf.Engine) -> None:
    def picky(calls: Sequence[Mapping[str, Any]]) -> list[Any]:
        return [ValueError("no sevens") if call["number"] == 7 else call["number"] for call in calls]

    engine.register(vf.Op("test.picky", "1", policy=vf.BatchPolicy(max_batch=1), run=picky))
    context = CallContext(engine, [])
    with pytest.raises(vf.errors.OpError, match="no sevens"):
        await context.ops("test.picky", [{"number": number} for number in (7, *range(20, 60))])
    assert await context.ops("test.picky", []) == []
    assert await context.op("test.picky", number=3) == 3


async def test_later_ops_of_a_call_are_never_held_back() -> None:
    with vf.Engine(threads=1, max_calls=1) as engine:
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wait(calls: Sequence[Mapping[str, Any]]) -> list[int]:
            asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(timeout=20)
            return [0] * len(calls)

        engine.register(vf.Op("test.wait", "1", policy=vf.BatchPolicy(max_batch=1), run=wait))
        register_mean(engine)
        context = CallContext(engine, [grey(engine, 10)])
        assert await context.op("test.mean", context.image()) == 10
        occupied = engine.acall("test.wait", number=1)
        assert await asyncio.wait_for(context.op("test.mean", grey(engine, 20)), 10) == 20
        gate.set()
        await occupied


def test_aliases_are_callable_but_not_listed(toolbox: vf.Toolbox) -> None:
    assert toolbox.names == ("zoom", "rotate")
    assert toolbox.subset(["image_zoom_in_tool"]).names == ("image_zoom_in_tool",)
    assert toolbox.subset(["rotate"]).names == ("rotate",)
    with pytest.raises(vf.errors.InvalidArgumentError, match="no tool is named 'warp'"):
        toolbox.subset(["warp"])
    with pytest.raises(vf.errors.InvalidArgumentError, match="two tools are named 'zoom'"):
        toolbox.adding(*toolbox.subset(["zoom"])._tools.values())


async def test_a_subset_offers_nothing_else(toolbox: vf.Toolbox, image: vf.Image) -> None:
    only = toolbox.subset(["rotate"])
    assert (await only.call(vf.ToolCall("image_rotate_tool", {"angle": 5}), images=[image])).error is None
    refused = await only.call(vf.ToolCall("zoom", {"bbox_2d": [0, 0, 5, 5]}), images=[image])
    assert refused.error is not None
    assert refused.error.kind == "E1"
    assert "The tools are rotate." in refused.text


@pytest.mark.parametrize(
    ("result", "named"),
    [(None, "NoneType"), ("text", "str"), (vf.Observation(7), "int"), (vf.Observation("seen", ("picture",)), "str")],
)
async def test_what_is_no_observation_is_an_unusable_result(
    toolbox: vf.Toolbox, image: vf.Image, result: Any, named: str
) -> None:
    class Wrong(Tool):
        name = "wrong"
        description = "Returns what no tool may."
        parameters: ClassVar[dict[str, Any]] = {"type": "object", "properties": {}}

        async def run(self, call: Any, /) -> Any:
            return result

    seen = await toolbox.adding(Wrong()).call(vf.ToolCall("wrong"), images=[image])
    assert seen.error is not None
    assert seen.error.kind == "E5"
    assert f"wrong gave {named}" in seen.text
