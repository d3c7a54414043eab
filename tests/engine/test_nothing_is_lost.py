"""A Completion reaches its caller whatever happens beside it: a close, a signal, a callback of another call."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import logging
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from engine_gate import WAIT, Gate

import vista_fast as vf


class AlarmError(Exception):
    """What the signal handler raises."""


@pytest.fixture
def alarm() -> Iterator[Callable[[float], None]]:
    """Has AlarmError raised on the main thread in so many seconds."""

    def ring(*_: object) -> None:
        raise AlarmError

    before = signal.signal(signal.SIGALRM, ring)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds) and None
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def interrupted(work: Callable[[], Any]) -> None:
    """Until the alarm has rung; without garbage collection, whose callbacks would swallow what it raises."""
    gc.disable()
    try:
        with contextlib.suppress(AlarmError):
            work()
            threading.Event().wait(0.2)
    finally:
        gc.enable()


def register(engine: vf.Engine, name: str, run: Any, max_batch: int = 4096) -> None:
    engine.register(vf.Op(name, "1", policy=vf.BatchPolicy(max_batch=max_batch), run=run, cacheable=False))


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("calls", [1, 500])
def test_closing_waits_until_what_was_completed_is_delivered(calls: int) -> None:
    for _ in range(20):
        engine = vf.Engine(threads=1)
        gate = Gate()
        register(engine, "gate", gate)
        futures = [engine.submit("gate", x=x) for x in range(calls)]
        assert gate.started.wait(WAIT)
        threading.Timer(0.002, gate.opened.set).start()
        engine.close(WAIT)
        assert [future.result(WAIT) for future in futures] == list(range(calls))


def test_a_signal_handler_that_raises_loses_no_result(engine: vf.Engine, alarm: Callable[[float], None]) -> None:
    for x in range(8):
        gate = Gate()
        register(engine, f"gate {x}", gate)
        future = engine.submit(f"gate {x}", x=x)
        threading.Timer(0.06, gate.opened.set).start()
        called = threading.Event()
        future.add_done_callback(lambda _, called=called: called.set())  # type: ignore[misc]
        # Somewhere in the part of a wait in which the result comes, and which looks at signals only at its end.
        alarm(0.052 + 0.002 * x)
        interrupted(lambda future=future: future.result(WAIT))  # type: ignore[misc]
        assert called.wait(WAIT), "whoever else waits for it is told"
        assert future.result(WAIT) == x


def test_a_signal_handler_that_raises_loses_none_of_many_results(
    engine: vf.Engine, alarm: Callable[[float], None]
) -> None:
    count = 20_000
    register(engine, "same", lambda calls: [call["x"] for call in calls])
    for after in (0.0005, 0.001, 0.002, 0.004, 0.008):
        many = engine.submit_many("same", [{"x": x} for x in range(count)])
        assert many._wait(count, WAIT)
        alarm(after)
        interrupted(many.result)
        assert many.result(WAIT) == list(range(count))


def test_what_a_callback_raises_stops_no_other_call(
    engine: vf.Engine, gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    futures = [engine.submit("gate", x=x) for x in range(3)]
    futures[0].add_done_callback(lambda _: sys.exit(1))
    told = threading.Event()
    futures[2].add_done_callback(lambda _: told.set())
    with caplog.at_level(logging.ERROR, "vista_fast.engine"):
        gate.opened.set()
        assert told.wait(WAIT)
    assert "a callback of <CallFuture" in caplog.text
    assert engine.submit("gate", x=9).result(WAIT) == 9


def test_a_callback_may_wait_for_a_call_of_its_own_batch(engine: vf.Engine) -> None:
    together = Gate()
    register(engine, "together", together)
    engine.submit("together", x=-1)
    assert together.started.wait(WAIT)
    answers: list[int] = []
    done = threading.Event()
    futures = [engine.submit("together", x=x) for x in range(40)]

    def ask(_: object) -> None:
        answers.extend(future.result(WAIT) for future in futures[::-1])

    def ask_within(_: object) -> None:
        answers.append(futures[30].result(WAIT))
        done.set()

    futures[0].add_done_callback(ask)
    futures[20].add_done_callback(ask_within)
    together.opened.set()
    assert done.wait(WAIT)
    assert engine.submit("together", x=77).result(WAIT) == 77
    assert sorted(answers) == sorted([*range(40), 30])


def test_a_callback_may_wait_for_a_call_that_is_not_done(engine: vf.Engine, gate: Gate, double: list[int]) -> None:
    later = engine.submit("gate", x=5)
    answers: list[Any] = []
    done = threading.Event()

    def ask(_: object) -> None:
        try:
            later.result(0.01)
        except concurrent.futures.TimeoutError:
            answers.append("not yet")
        gate.opened.set()
        answers.append(later.result(WAIT))
        done.set()

    engine.submit("double", x=1).add_done_callback(ask)
    assert done.wait(WAIT)
    assert answers == ["not yet", 5]


def test_a_loop_that_was_closed_with_a_call_outstanding_is_let_go_of(engine: vf.Engine, gate: Gate) -> None:
    async def give_up() -> weakref.ref[asyncio.AbstractEventLoop]:
        # Not withdrawn, so that it comes back when nobody looks.
        engine.acall("gate", x=len(loops))
        return weakref.ref(asyncio.get_running_loop())

    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []
    descriptors = open_descriptors()
    for _ in range(10):
        loops.append(asyncio.run(give_up()))
    gate.opened.set()
    assert engine.call("gate", x=99) == 99, "all those before it have come back"

    async def one_more() -> int:
        answer: int = await engine.acall("gate", x=100)
        return answer

    assert asyncio.run(one_more()) == 100
    gc.collect()
    assert [loop() for loop in loops] == [None] * 10
    assert open_descriptors() <= descriptors + 2
