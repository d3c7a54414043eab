"""Pullers that end while they are wanted: their calls are answered, and another puller takes their place."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from engine_gate import WAIT

import vista_fast as vf
from vista_fast.errors import AbortedError


class Ended(BaseException):
    """What ends a puller."""


class CoreThatRaisesOnce:
    """The core as pullers see it; one of its methods raises once, before or after what it does."""

    def __init__(self, core: Any, method: str, when: Literal["before", "after"]) -> None:
        self._core, self._method, self._when = core, method, when
        self.raised = threading.Event()

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._core, name)
        if name != self._method or self.raised.is_set():
            return attribute

        def raising(*arguments: Any) -> Any:
            if self._when == "after":
                attribute(*arguments)
            self.raised.set()
            raise Ended

        return raising


@pytest.fixture(autouse=True)
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[type[BaseException]]]:
    """What pullers have ended with, instead of their tracebacks."""
    ended: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda raised: ended.append(raised.exc_type))
    yield ended
    assert ended == [Ended]


def test_a_puller_that_an_exception_ends_with_a_lease_in_hand_is_replaced(engine: vf.Engine) -> None:
    engine.register(vf.Op("one", "1", run=lambda calls: [1] * len(calls)))
    puller = next(thread for thread in threading.enumerate() if thread.name == "vista-one")
    assert puller.ident is not None
    # It waits inside the core without the GIL, and sees the exception when it comes back with a Lease.
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(puller.ident), ctypes.py_object(Ended))
    with pytest.raises(AbortedError, match="'one' ended before this call was done; submit it again"):
        engine.submit("one", x=1).result(WAIT)
    puller.join(WAIT)
    assert not puller.is_alive()
    assert engine.submit("one", x=1).result(WAIT) == 1
    counts = engine.stats()["ops"]["one"]
    assert (counts["lost_pullers"], counts["aborted"], counts["running"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("method", "when", "answered"),
    [
        ("lease", "after", False),
        ("lease", "before", True),
        ("complete", "before", False),
        ("complete", "after", False),
        ("fail", "before", False),
    ],
)
def test_a_puller_is_replaced_wherever_it_ends(
    engine: vf.Engine, method: str, when: Literal["before", "after"], answered: bool
) -> None:
    def run(calls: list[dict[str, Any]]) -> list[Any]:
        return [1 // call["x"] for call in calls]

    core = CoreThatRaisesOnce(engine._core, method, when)
    engine._pullers._core = core  # type: ignore[assignment]
    engine.register(vf.Op("one", "1", run=run))
    first = engine.submit("one", x=0 if method == "fail" else 1)
    assert core.raised.wait(WAIT)
    if answered:
        assert first.result(WAIT) == 1
    else:
        with pytest.raises(AbortedError):
            first.result(WAIT)
    assert engine.submit("one", x=1, flow="another").result(WAIT) == 1
    assert engine.submit("one", x=-1).result(WAIT) == -1
    assert engine.stats()["ops"]["one"]["lost_pullers"] == (0 if answered else 1)


def test_all_calls_of_a_lost_batch_are_aborted(engine: vf.Engine) -> None:
    core = CoreThatRaisesOnce(engine._core, "complete", "before")
    engine._pullers._core = core  # type: ignore[assignment]
    engine.register(vf.Op("three", "1", run=lambda calls: [call["x"] for call in calls]))
    lost = engine.submit_many("three", [{"x": x} for x in range(3)])
    assert [type(error) for error in lost.result(WAIT, return_exceptions=True)] == [AbortedError] * 3
    again = engine.submit_many("three", [{"x": x} for x in range(3)])
    assert again.result(WAIT) == [0, 1, 2]


def test_a_puller_for_which_there_is_no_thread_is_replaced_later(
    engine: vf.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = threading.Event()
    start = threading.Thread.start

    def refuse_once(thread: threading.Thread) -> None:
        if not refused.is_set():
            refused.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    core = CoreThatRaisesOnce(engine._core, "complete", "before")
    engine._pullers._core = core  # type: ignore[assignment]
    engine.register(vf.Op("one", "1", run=lambda calls: [1] * len(calls)))
    monkeypatch.setattr(threading.Thread, "start", refuse_once)
    with pytest.raises(AbortedError):
        engine.submit("one", x=1).result(WAIT)
    assert refused.wait(WAIT)
    assert engine.submit("one", x=2).result(WAIT) == 1
