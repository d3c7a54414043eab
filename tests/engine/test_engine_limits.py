"""Limits of an Op and of the engine, and what waits for room; the adaptive batch policy."""

from __future__ import annotations

import asyncio
import threading

import numpy as np
import pytest
from engine_gate import WAIT, Gate

import vista_fast as vf
from vista_fast.errors import InvalidArgumentError, ResourceExhaustedError


def test_max_queue_holds_back_one_op_alone(engine: vf.Engine) -> None:
    gate = Gate()
    engine.register(vf.Op("bounded", "1", policy=vf.BatchPolicy(max_batch=1), run=gate, max_queue=2))
    engine.register(vf.Op("free", "1", run=lambda calls: [call["x"] for call in calls]))
    many = engine.submit_many("bounded", [{"x": x} for x in range(6)])
    assert gate.started.wait(WAIT)
    assert engine.stats()["admission"]["lobby"] == 3  # one runs, two wait in the queue
    assert engine.call("free", x=7) == 7
    gate.opened.set()
    assert many.result(WAIT) == list(range(6))


def test_max_in_flight_bounds_the_calls_that_run(engine: vf.Engine) -> None:
    lock = threading.Lock()
    running, most = 0, 0

    def run(calls: list[dict[str, int]]) -> list[int]:
        nonlocal running, most
        with lock:
            running += len(calls)
            most = max(most, running)
        results = [sum(range(20_000)) + call["x"] for call in calls]
        with lock:
            running -= len(calls)
        return results

    policy = vf.BatchPolicy(max_batch=2)
    engine.register(vf.Op("few", "1", policy=policy, run=run, concurrency=4, max_in_flight=3))
    results = engine.submit_many("few", [{"x": x} for x in range(200)]).result(WAIT)
    assert results == [sum(range(20_000)) + x for x in range(200)]
    assert 2 <= most <= 3


def test_an_image_that_many_calls_look_at_counts_once(gate: Gate) -> None:
    size = 64 * 64 * 3
    image, other = (vf.Image.from_array(np.full((64, 64, 3), level, np.uint8)) for level in (1, 2))
    with vf.Engine(threads=1, max_bytes=3 * size // 2) as engine:
        engine.register(vf.Op("gate", "1", policy=vf.BatchPolicy(max_batch=16), run=gate))
        many = engine.submit_many("gate", [{"image": image, "x": x} for x in range(16)])
        assert gate.started.wait(WAIT)
        assert engine.stats()["admission"]["lobby"] == 0
        assert size < engine.stats()["admission"]["bytes"] < 2 * size
        last = engine.submit_many("gate", [{"image": other, "x": 16}])
        assert engine.stats()["admission"]["lobby"] == 1
        gate.opened.set()
        assert many.result(WAIT) + last.result(WAIT) == list(range(17))

        zooms = engine.submit_many("image.zoom", [{"image": image, "box": (0, 0, x, x)} for x in range(8, 24)])
        assert len(zooms.result(WAIT)) == 16
        assert engine.stats()["ops"]["image.zoom"]["batch_size"]["max"] > 1
        assert engine.stats()["admission"]["bytes"] == 0


def test_a_call_gives_up_waiting_for_room(gate: Gate) -> None:
    with vf.Engine(threads=1, max_calls=1) as engine:
        engine.register(vf.Op("gate", "1", policy=vf.BatchPolicy(max_batch=1), run=gate))
        first = engine.submit("gate", x=1)
        with pytest.raises(ResourceExhaustedError, match="no room in the engine within its room_timeout"):
            engine.call("gate", x=2, room_timeout=0.01)
        with pytest.raises(ResourceExhaustedError):
            engine.submit("gate", x=3, room_timeout=0.01).result(WAIT)

        async def awaited() -> None:
            with pytest.raises(ResourceExhaustedError):
                await engine.acall("gate", x=4, room_timeout=0.01)

        asyncio.run(awaited())
        gate.opened.set()
        assert first.result(WAIT) == 1
        assert engine.call("gate", x=5, room_timeout=WAIT) == 5


def test_an_adaptive_op_answers_every_call(engine: vf.Engine) -> None:
    sizes: list[int] = []

    def run(calls: list[dict[str, int]]) -> list[int]:
        sizes.append(len(calls))
        return [call["x"] for call in calls]

    policy = vf.BatchPolicy(max_batch=64, max_delay=0.01, adaptive=True)
    engine.register(vf.Op("adaptive", "1", policy=policy, run=run))
    for start in range(0, 2000, 100):
        calls = [{"x": x} for x in range(start, start + 100)]
        assert engine.submit_many("adaptive", calls).result(WAIT) == list(range(start, start + 100))
    assert engine.call("adaptive", x=-1) == -1
    assert max(sizes) <= 64


@pytest.mark.parametrize(
    ("limits", "message"),
    [({"max_queue": 0}, "max_queue of Op 'a' is 0"), ({"max_in_flight": -1}, "max_in_flight of Op 'a' is -1")],
)
def test_limits_are_at_least_one(limits: dict[str, int], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        vf.Op("a", "1", run=list, **limits)


def test_a_policy_is_either_lingering_or_adaptive() -> None:
    with pytest.raises(InvalidArgumentError, match="linger and adaptive"):
        vf.BatchPolicy(linger=True, adaptive=True)
