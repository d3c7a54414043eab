"""The future of acall: asyncio's behaviour, but for its first callback, which is run as soon as the call comes back."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from engine_gate import Gate

import vista_fast as vf

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="nobody")


@pytest.fixture
def engine(engine: vf.Engine) -> vf.Engine:
    engine.register(vf.Op("echo", "1", run=lambda calls: [call["x"] for call in calls], cacheable=False))
    return engine


@pytest.fixture
def together(engine: vf.Engine) -> Iterator[Gate]:
    """The Op "together", eight calls per Batch."""
    gate = Gate()
    engine.register(vf.Op("together", "1", policy=vf.BatchPolicy(max_batch=8, max_delay=60, linger=True), run=gate))
    yield gate
    gate.opened.set()


async def test_callbacks_are_run_once_and_in_their_order(engine: vf.Engine) -> None:
    future = engine.acall("echo", x=1)
    seen: list[tuple[str, Any]] = []
    for name in "abc":
        future.add_done_callback(lambda done, name=name: seen.append((name, done.result())))  # type: ignore[misc]
    assert await future == 1
    await asyncio.sleep(0)
    assert seen == [("a", 1), ("b", 1), ("c", 1)]


async def test_a_callback_added_to_a_done_future_is_run_later(engine: vf.Engine) -> None:
    future = engine.acall("echo", x=1)
    await future
    seen: list[int] = []
    future.add_done_callback(lambda done: seen.append(done.result()))
    assert seen == []
    await asyncio.sleep(0)
    assert seen == [1]


async def test_removed_callbacks_are_not_run(engine: vf.Engine) -> None:
    future = engine.acall("echo", x=1)
    seen: list[str] = []

    def first(done: object) -> None:
        seen.append("first")

    future.add_done_callback(first)
    future.add_done_callback(lambda done: seen.append("second"))
    assert future.remove_done_callback(first) == 1
    assert future.remove_done_callback(first) == 0
    await future
    await asyncio.sleep(0)
    assert seen == ["second"]


@pytest.mark.parametrize("given", [False, True])
async def test_a_callback_sees_the_context_of_its_registration(engine: vf.Engine, given: bool) -> None:
    future = engine.acall("echo", x=1)
    seen: list[str] = []
    context = contextvars.copy_context()
    context.run(NAME.set, "a copy")
    NAME.set("here")
    future.add_done_callback(lambda done: seen.append(NAME.get()), **({"context": context} if given else {}))
    NAME.set("later")
    await future
    await asyncio.sleep(0)
    assert seen == ["a copy" if given else "here"]


async def test_what_a_callback_raises_goes_to_the_loop_and_the_others_are_settled(engine: vf.Engine) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, what: told.append(what))
    futures = [engine.acall("echo", x=x) for x in range(8)]

    def fails(done: object) -> None:
        raise RuntimeError("no")

    futures[3].add_done_callback(fails)
    assert await asyncio.gather(*futures) == list(range(8))
    assert [str(what["exception"]) for what in told] == ["no"]
    assert told[0]["future"] is futures[3]


def test_what_ends_the_loop_leaves_the_other_futures_to_its_next_run(engine: vf.Engine, together: Gate) -> None:
    loop = asyncio.new_event_loop()

    async def start() -> list[asyncio.Future[Any]]:
        return [engine.acall("together", x=x) for x in range(8)]

    def interrupts(done: object) -> None:
        raise KeyboardInterrupt

    futures = loop.run_until_complete(start())
    for future in futures[:4]:
        future.add_done_callback(interrupts)
    together.opened.set()
    for settled in range(1, 5):
        with pytest.raises(KeyboardInterrupt):
            loop.run_forever()
        assert [future.done() for future in futures].count(True) == settled
    assert loop.run_until_complete(futures[-1]) == 7
    assert all(future.done() for future in futures)
    loop.close()


async def test_a_cancelled_future_tells_its_callbacks_through_the_loop(engine: vf.Engine, gate: Gate) -> None:
    future = engine.acall("gate", x=1)
    seen: list[bool] = []
    future.add_done_callback(lambda done: seen.append(done.cancelled()))
    assert future.cancel("enough")
    assert seen == []
    await asyncio.sleep(0)
    assert seen == [True]
    with pytest.raises(asyncio.CancelledError):
        await future


async def test_a_user_may_settle_it_himself(engine: vf.Engine, gate: Gate) -> None:
    mine, other = engine.acall("gate", x=1), engine.acall("gate", x=2)
    seen: list[int] = []
    mine.add_done_callback(lambda done: seen.append(done.result()))
    mine.set_result(7)
    gate.opened.set()
    await other
    assert (seen, mine.result()) == ([7], 7)


async def test_the_tools_of_asyncio_take_it(engine: vf.Engine, gate: Gate) -> None:
    waiting = engine.acall("gate", x=0)
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.shield(waiting), 0)
    done, pending = await asyncio.wait([waiting, engine.acall("echo", x=1)], return_when=asyncio.FIRST_COMPLETED)
    assert [future.result() for future in done] == [1]
    assert pending == {waiting}
    gate.opened.set()
    assert await asyncio.wait_for(waiting, 10) == 0
    assert [await each for each in asyncio.as_completed([engine.acall("echo", x=2)])] == [2]


async def test_a_future_that_its_callback_refers_to_is_collected(engine: vf.Engine) -> None:
    future = engine.acall("echo", x=1)
    future.add_done_callback(lambda done, kept=future: None)  # type: ignore[misc]
    await engine.acall("echo", x=2)
    await future
    gone = weakref.ref(future)
    del future
    gc.collect()
    assert gone() is None


def test_each_loop_of_a_thread_gets_its_own_futures(engine: vf.Engine) -> None:
    async def call(x: int) -> Any:
        future = engine.acall("echo", x=x)
        assert future.get_loop() is asyncio.get_running_loop()
        return await future

    assert [asyncio.run(call(x)) for x in range(5)] == list(range(5))
    with pytest.raises(RuntimeError, match="no running event loop"):
        engine.acall("echo", x=1)
