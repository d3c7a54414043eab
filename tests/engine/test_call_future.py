"""Waiting for a plain future: the thread that blocks on it takes its completion past the drain thread."""

from __future__ import annotations

import concurrent.futures
import threading
from typing import Any

import pytest
from engine_gate import WAIT, Gate

import vista_fast as vf
from vista_fast import errors


def test_many_threads_wait_for_one_future(engine: vf.Engine, gate: Gate) -> None:
    future = engine.submit("gate", x=1)
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(future.result(WAIT))) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert gate.started.wait(WAIT)
    gate.opened.set()
    for thread in threads:
        thread.join(WAIT)
    assert results == [1] * 8


def test_threads_that_wait_get_their_own_results(engine: vf.Engine, double: list[int]) -> None:
    def ask(first: int) -> list[Any]:
        return [engine.submit("double", x=first + x).result() for x in range(200)]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for first, results in zip(range(0, 8000, 1000), pool.map(ask, range(0, 8000, 1000)), strict=True):
            assert results == [2 * (first + x) for x in range(200)]


def test_a_timeout_leaves_the_call_alone(engine: vf.Engine, gate: Gate) -> None:
    future = engine.submit("gate", x=1)
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(0.001)
    with pytest.raises(concurrent.futures.TimeoutError):
        future.exception(0)
    gate.opened.set()
    assert future.result(WAIT) == 1
    assert future.exception() is None


def test_a_cancel_ends_the_wait_of_another_thread(engine: vf.Engine, gate: Gate) -> None:
    engine.submit("gate", x=0)
    future = engine.submit("gate", x=1)
    assert gate.started.wait(WAIT)
    waits = threading.Event()
    ended: list[str] = []

    def wait() -> None:
        waits.set()
        try:
            future.result(WAIT)
        except concurrent.futures.CancelledError:
            ended.append("cancelled")

    thread = threading.Thread(target=wait)
    thread.start()
    assert waits.wait(WAIT)
    assert future.cancel()
    thread.join(WAIT)
    assert ended == ["cancelled"]


def test_closing_ends_the_wait(gate: Gate, engine: vf.Engine) -> None:
    future = engine.submit("gate", x=1)
    assert gate.started.wait(WAIT)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(future.exception, WAIT)
        engine.close(0.0)
        assert isinstance(waiting.result(WAIT), errors.AbortedError)


def test_a_callback_may_wait_for_another_call(engine: vf.Engine, double: list[int]) -> None:
    answers: list[int] = []
    done = threading.Event()

    def ask(future: concurrent.futures.Future[int]) -> None:
        answers.append(engine.submit("double", x=future.result()).result(WAIT))
        done.set()

    engine.submit("double", x=1).add_done_callback(ask)
    assert done.wait(WAIT)
    assert answers == [4]


def test_a_future_that_its_user_settled_stays_so(engine: vf.Engine, gate: Gate) -> None:
    future = engine.submit("gate", x=1)
    future.set_result("mine")
    gate.opened.set()
    assert engine.submit("gate", x=2).result(WAIT) == 2
    assert future.result() == "mine"
