from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest
from engine_gate import WAIT, Gate

import vista_fast as vf
from vista_fast import errors


async def awaited(many: vf.engine.many.ManyCalls) -> Any:
    return await many


async def test_a_waiting_call_does_not_block_the_loop(engine: vf.Engine, gate: Gate) -> None:
    future = engine.acall("gate", x=1)
    await asyncio.to_thread(gate.started.wait, WAIT)
    assert not future.done()
    gate.opened.set()
    assert await future == 1
    assert future.outcome == "run"


async def test_acall_waits_for_room_without_blocking() -> None:
    gate = Gate()
    with vf.Engine(threads=1, max_calls=2) as engine:
        engine.register(vf.Op("gate", "1", policy=vf.BatchPolicy(max_batch=1), run=gate))
        futures = [engine.acall("gate", x=x) for x in range(10)]
        assert engine.stats()["admission"]["lobby"] == 8
        gate.opened.set()
        assert await asyncio.gather(*futures) == list(range(10))


async def test_submit_on_a_loop_does_not_block_it() -> None:
    gate = Gate()
    with vf.Engine(threads=1, max_calls=1) as engine:
        engine.register(vf.Op("gate", "1", policy=vf.BatchPolicy(max_batch=1), run=gate))
        futures = [engine.submit("gate", x=x) for x in range(3)]
        gate.opened.set()
        assert [await asyncio.wrap_future(future) for future in futures] == [0, 1, 2]


async def test_cancelling_detaches_one_waiter(engine: vf.Engine, gate: Gate) -> None:
    first, second = engine.acall("gate", x=1), engine.acall("gate", x=1)
    first.cancel()
    gate.opened.set()
    assert await second == 1
    with pytest.raises(asyncio.CancelledError):
        await first
    assert engine.stats()["ops"]["gate"]["cancelled"] == 1


async def test_a_timeout_around_a_call_withdraws_it(engine: vf.Engine, gate: Gate) -> None:
    running = engine.acall("gate", x=0)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(engine.acall("gate", x=1), 0.001)
    gate.opened.set()
    assert await running == 0
    assert gate.batches == [[{"x": 0}]]


async def test_errors_are_raised_where_a_call_is_awaited(engine: vf.Engine, double: list[int]) -> None:
    with pytest.raises(errors.OpError, match="TypeError"):
        await engine.acall("double", x=None)
    with pytest.raises(errors.DeadlineExceededError):
        await engine.acall("double", x=1, deadline=0)


async def test_many_calls_can_be_awaited_and_iterated(engine: vf.Engine, gate: Gate) -> None:
    many = engine.submit_many("gate", [{"x": x} for x in range(5)])
    assert len(many) == 5
    gate.opened.set()
    seen = [(done.place, done.value) async for done in many]
    assert seen == [(x, x) for x in range(5)]
    assert await many == list(range(5))
    assert await many == list(range(5))
    assert many.outcomes() == ["run"] * 5


async def test_many_calls_of_nothing_are_done(engine: vf.Engine, double: list[int]) -> None:
    assert await engine.submit_many("double", []) == []


async def test_many_calls_raise_the_first_error_or_give_all(engine: vf.Engine, double: list[int]) -> None:
    many = engine.submit_many("double", [{"x": 1}, {"x": None}, {"y": 2}, {"x": 3}])
    with pytest.raises(errors.OpError, match="NoneType"):
        await many
    values = many.result(WAIT, return_exceptions=True)
    assert (values[0], values[3]) == (2, 6)
    assert [type(value) for value in values[1:3]] == [errors.OpError] * 2


async def test_cancelled_many_calls_complete(engine: vf.Engine, gate: Gate) -> None:
    many = engine.submit_many("gate", [{"x": x} for x in range(5)])
    await asyncio.to_thread(gate.started.wait, WAIT)
    many.cancel()
    values = many.result(WAIT, return_exceptions=True)
    assert [type(value) for value in values] == [errors.AbortedError] * 5


def test_loops_come_and_go(engine: vf.Engine, gate: Gate, double: list[int]) -> None:
    async def leave_one_behind() -> int:
        engine.acall("gate", x=1)
        return await engine.acall("double", x=1)

    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(leave_one_behind()) == 2
    loop.close()
    del loop
    gc.collect()
    gate.opened.set()

    async def again() -> Any:
        return await engine.acall("gate", x=1)

    assert [asyncio.run(again()) for _ in range(3)] == [1, 1, 1]


def test_loops_in_many_threads_share_an_engine(engine: vf.Engine, double: list[int]) -> None:
    results: list[list[int]] = []

    async def calls() -> list[int]:
        return list(await asyncio.gather(*(engine.acall("double", x=x) for x in range(50))))

    threads = [threading.Thread(target=lambda: results.append(asyncio.run(calls()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert results == [[2 * x for x in range(50)]] * 4


async def test_closing_settles_the_calls_of_a_running_loop() -> None:
    gate = Gate()
    engine = vf.Engine(threads=1)
    engine.register(vf.Op("gate", "1", policy=vf.BatchPolicy(max_batch=1), run=gate))
    futures = [engine.acall("gate", x=x) for x in range(3)]
    engine.close(timeout=0)
    gate.opened.set()
    assert [type(error) for error in await asyncio.gather(*futures, return_exceptions=True)] == [
        errors.AbortedError
    ] * 3


async def test_many_calls_can_be_awaited_after_the_engine_has_closed(engine: vf.Engine, double: list[int]) -> None:
    done = engine.submit_many("double", [{"x": x} for x in range(3)])
    assert await done == [0, 2, 4]
    engine.close()
    assert await asyncio.wait_for(awaited(done), WAIT) == [0, 2, 4]
    assert [each.value async for each in done] == [0, 2, 4]


async def test_many_calls_that_close_aborts_end_their_wait(engine: vf.Engine, gate: Gate) -> None:
    many = engine.submit_many("gate", [{"x": x} for x in range(3)])
    waits = asyncio.ensure_future(awaited(many))
    assert await asyncio.to_thread(gate.started.wait, WAIT)
    await asyncio.to_thread(engine.close, 0.0)
    for wait in (waits, asyncio.ensure_future(awaited(many))):
        with pytest.raises(errors.AbortedError):
            await asyncio.wait_for(wait, WAIT)


async def test_an_engine_that_closes_while_its_calls_begin_to_be_awaited(
    engine: vf.Engine, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = engine.submit_many("gate", [{"x": 1}])
    arrival = many._arrival

    def close_first(enough: int) -> asyncio.Future[None]:
        engine.close(0.0)
        return arrival(enough)

    monkeypatch.setattr(many, "_arrival", close_first)
    with pytest.raises(errors.AbortedError):
        await asyncio.wait_for(awaited(many), WAIT)
