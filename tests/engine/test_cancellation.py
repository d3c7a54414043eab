"""A call may be withdrawn wherever it is, by every way of calling; who waits for the same is not touched."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias

import numpy as np
import pytest
from engine_gate import WAIT, Gate

import vista_fast as vf
from vista_fast.errors import AbortedError

Stage: TypeAlias = Literal["waits for room", "queued", "in flight"]
Way: TypeAlias = Literal["future.cancel", "asyncio cancel", "ManyCalls.cancel", "task.cancel"]

STAGES: tuple[Stage, ...] = ("waits for room", "queued", "in flight")
WAYS: tuple[Way, ...] = ("future.cancel", "asyncio cancel", "ManyCalls.cancel", "task.cancel")


def submit(engine: vf.Engine, way: Way, x: int) -> Any:
    if way == "future.cancel":
        return engine.submit("gate", x=x)
    if way == "ManyCalls.cancel":
        return engine.submit_many("gate", [{"x": x}])
    call = engine.acall("gate", x=x)
    return asyncio.ensure_future(awaited(call)) if way == "task.cancel" else call


async def awaited(call: vf.engine.futures.LoopFuture) -> Any:
    return await call


async def withdraw(call: Any, way: Way) -> None:
    """Cancels, and checks that the caller sees it at once."""
    call.cancel()
    if way == "ManyCalls.cancel":
        assert [type(done.error) async for done in call] == [AbortedError]
    elif way == "future.cancel":
        assert call.cancelled()
    else:
        with pytest.raises(asyncio.CancelledError):
            await call


@asynccontextmanager
async def at_stage(stage: Stage) -> AsyncIterator[tuple[vf.Engine, Gate]]:
    """An engine in which a call that is made now comes to this stage and stays there until the gate opens."""
    gate = Gate()
    with vf.Engine(threads=1, max_calls=1 if stage == "waits for room" else 100) as engine:
        engine.register(vf.Op("gate", "1", policy=vf.BatchPolicy(max_batch=1), run=gate))
        before = None
        if stage != "in flight":
            before = engine.acall("gate", x=0)
            await started(gate)
        yield engine, gate
        gate.opened.set()
        assert before is None or await before == 0


async def started(gate: Gate) -> None:
    assert await asyncio.to_thread(gate.started.wait, WAIT)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("way", WAYS)
async def test_the_others_of_a_withdrawn_call_get_their_result(stage: Stage, way: Way) -> None:
    async with at_stage(stage) as (engine, gate):
        mine = submit(engine, way, 1)
        await asyncio.sleep(0)  # lets a task begin
        others = [engine.acall("gate", x=1) for _ in range(2)]
        if stage == "in flight":
            await started(gate)
        await withdraw(mine, way)
        gate.opened.set()
        assert await asyncio.gather(*others) == [1, 1]
        assert engine.stats()["ops"]["gate"]["cancelled"] == 1


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("way", WAYS)
async def test_a_call_that_all_withdrew_runs_no_more_unless_it_does_already(stage: Stage, way: Way) -> None:
    async with at_stage(stage) as (engine, gate):
        mine = submit(engine, way, 1)
        await asyncio.sleep(0)
        if stage == "in flight":
            await started(gate)
        await withdraw(mine, way)
        gate.opened.set()
        assert await engine.acall("gate", x=2) == 2
        ran = [call["x"] for batch in gate.batches for call in batch]
        assert (1 in ran) == (stage == "in flight")
        if stage == "in flight":
            again = engine.acall("gate", x=1)
            assert (await again, again.outcome) == (1, "cached"), "what ran is not lost"


@pytest.mark.parametrize("way", WAYS[:3])
async def test_a_cached_result_is_there_before_it_can_be_withdrawn(way: Way) -> None:
    async with at_stage("in flight") as (engine, gate):
        gate.opened.set()
        assert await engine.acall("gate", x=1) == 1
        call = submit(engine, way, 1)
        if way == "ManyCalls.cancel":
            values = await call
            call.cancel()
            assert (values, call.outcomes()) == ([1], ["cached"])
            return
        value = await call if way == "asyncio cancel" else await asyncio.wrap_future(call)
        assert (value, call.outcome, call.cancel()) == (1, "cached", False)


async def awaited_many(calls: vf.engine.many.ManyCalls) -> Any:
    return await calls


@pytest.mark.parametrize("stage", STAGES)
async def test_a_timeout_around_awaited_many_calls_withdraws_them(stage: Stage) -> None:
    async with at_stage(stage) as (engine, gate):
        many = engine.submit_many("gate", [{"x": x} for x in range(1, 4)])
        other = engine.acall("gate", x=1)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(awaited_many(many), 0.01)
        assert engine.stats()["ops"]["gate"]["cancelled"] == 3
        assert [type(done.error) for done in many] == [AbortedError] * 3
        gate.opened.set()
        assert await other == 1


async def test_leaving_an_iteration_over_many_calls_leaves_them() -> None:
    async def iterate(many: vf.engine.many.ManyCalls) -> list[Any]:
        return [done.value async for done in many]

    async with at_stage("queued") as (engine, gate):
        many = engine.submit_many("gate", [{"x": x} for x in range(1, 4)])
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(iterate(many), 0.01)
        gate.opened.set()
        assert await iterate(many) == [1, 2, 3]


async def test_withdrawing_a_timeout_scope_withdraws_its_calls() -> None:
    async with at_stage("queued") as (engine, _):
        calls = [engine.acall("gate", x=x) for x in range(1, 5)]
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.gather(*calls), 0.01)
        assert all(call.cancelled() for call in calls)
        assert engine.stats()["ops"]["gate"]["cancelled"] == 4


@pytest.mark.parametrize("stage", STAGES)
async def test_closing_at_once_aborts_calls_wherever_they_are(stage: Stage) -> None:
    gate = Gate()
    engine = vf.Engine(threads=1, max_calls=1 if stage == "waits for room" else 100)
    engine.register(vf.Op("gate", "1", policy=vf.BatchPolicy(max_batch=1), run=gate))
    calls: list[Any] = []
    if stage != "in flight":
        calls.append(engine.acall("gate", x=0))
        await started(gate)
    calls += [submit(engine, "future.cancel", 1), engine.acall("gate", x=2)]
    many = engine.submit_many("gate", [{"x": 3}, {"x": 4}])
    await started(gate)
    await asyncio.to_thread(engine.close, 0.0)
    gate.opened.set()
    assert [type(done.error) async for done in many] == [AbortedError, AbortedError]
    for call in calls:
        with pytest.raises(AbortedError):
            await (call if asyncio.isfuture(call) else asyncio.wrap_future(call))


@pytest.mark.parametrize("way", WAYS)
async def test_a_native_call_may_be_withdrawn_at_any_moment(way: Way) -> None:
    image = vf.Image.from_array(np.zeros((400, 400, 3), np.uint8))
    count = 60
    with vf.Engine(threads=1, cache_bytes=0) as engine:
        for turns in range(count):
            box = (0, 0, 300 + turns, 300)
            calls = [{"image": image, "box": box, "size": (700, 700), "filter": "lanczos"}]
            if way == "ManyCalls.cancel":
                call = engine.submit_many("image.zoom", calls)
            elif way == "future.cancel":
                call = engine.submit("image.zoom", **calls[0])
            else:
                call = engine.acall("image.zoom", **calls[0])
                call = asyncio.ensure_future(awaited(call)) if way == "task.cancel" else call
            for _ in range(turns):
                await asyncio.sleep(0)
            call.cancel()
            if way == "ManyCalls.cancel":
                assert len([done async for done in call]) == 1
            else:
                await asyncio.wait([asyncio.wrap_future(call) if way == "future.cancel" else call])
        assert (await engine.acall("image.zoom", image, box=(0, 0, 20, 20))).width == 20
        counts = engine.stats()["ops"]["image.zoom"]
        assert counts["submitted"] == counts["succeeded"] + counts["cancelled"] == count + 1
