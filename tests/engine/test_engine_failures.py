from __future__ import annotations

import concurrent.futures
import math
import threading
import time
from typing import Any

import numpy as np
import pytest
from engine_gate import WAIT, Gate

import vista_fast as vf
from vista_fast import errors


def test_a_poisoned_member_fails_alone(engine: vf.Engine) -> None:
    sizes: list[int] = []

    def run(calls: list[dict[str, Any]]) -> list[Any]:
        sizes.append(len(calls))
        return [10 // call["x"] for call in calls]

    engine.register(vf.Op("divide", "1", run=run))
    values = engine.submit_many("divide", [{"x": x} for x in (1, 2, 0, 5)]).result(WAIT, return_exceptions=True)
    assert sizes == [4, 1, 1, 1, 1]
    assert [value for value in values if isinstance(value, int)] == [10, 5, 2]
    assert isinstance(values[2], errors.OpError)
    assert isinstance(values[2].__cause__, ZeroDivisionError)
    assert engine.stats()["ops"]["divide"]["rerun_alone"] == 4


def test_an_exception_among_the_results_fails_its_own_call(engine: vf.Engine) -> None:
    refused = errors.InvalidArgumentError("x is 2; pass an odd number")

    def run(calls: list[dict[str, Any]]) -> list[Any]:
        return [call["x"] if call["x"] % 2 else refused for call in calls]

    engine.register(vf.Op("odd", "1", run=run))
    values = engine.submit_many("odd", [{"x": x} for x in (1, 2, 3)]).result(WAIT, return_exceptions=True)
    assert values == [1, refused, 3]
    with pytest.raises(errors.InvalidArgumentError, match="odd number"):
        engine.call("odd", x=2)
    assert engine.stats()["ops"]["odd"]["cached"] == 0, "a failure must not be cached"


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit, StopIteration, MemoryError])
def test_whatever_a_batch_function_raises_its_calls_are_answered(
    engine: vf.Engine, double: list[int], raised: type[BaseException]
) -> None:
    def run(calls: list[dict[str, Any]]) -> list[Any]:
        raise raised

    engine.register(vf.Op("raises", "1", run=run))
    for _ in range(2):
        with pytest.raises(errors.OpError, match=raised.__name__):
            engine.call("raises", x=1)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returned NoneType"),
        ("two", "returned str"),
        (5, "returned int"),
        ([], "0 results for 1 calls"),
        ([1, 2, 3], "3 results for 1 calls"),
        ({"a": 1}, "returned dict"),
    ],
)
def test_the_wrong_results_are_an_error(engine: vf.Engine, returned: Any, message: str) -> None:
    engine.register(vf.Op("wrong", "1", run=lambda calls: returned))
    with pytest.raises(errors.OpError, match=message):
        engine.call("wrong", x=1)


def test_a_batch_function_that_never_returns_is_replaced(engine: vf.Engine) -> None:
    hang = threading.Event()
    pullers: list[str] = []

    def run(calls: list[dict[str, Any]]) -> list[Any]:
        pullers.append(threading.current_thread().name)
        if calls[0]["x"] == 0:
            assert hang.wait(WAIT)
        return [call["x"] for call in calls]

    engine.register(vf.Op("hangs", "1", policy=vf.BatchPolicy(max_batch=1), run=run))
    stuck = engine.submit("hangs", x=0, deadline=0.05)
    behind = engine.submit("hangs", x=1)
    with pytest.raises(errors.DeadlineExceededError, match="hangs"):
        stuck.result(WAIT)
    assert behind.result(WAIT) == 1
    assert engine.stats()["ops"]["hangs"]["lost_pullers"] == 1
    hang.set()
    assert engine.call("hangs", x=2) == 2


def test_a_batch_that_timed_out_aborts_all_its_calls_and_the_op_goes_on(engine: vf.Engine) -> None:
    hang = threading.Event()
    batches: list[list[int]] = []

    def run(calls: list[dict[str, Any]]) -> list[Any]:
        batches.append([call["x"] for call in calls])
        if batches[-1] == [0, 1, 2]:
            assert hang.wait(WAIT)
        return batches[-1]

    engine.register(vf.Op("slow", "1", run=run, timeout=0.05))
    values = engine.submit_many("slow", [{"x": x} for x in range(3)]).result(WAIT, return_exceptions=True)
    assert [type(value) for value in values] == [errors.AbortedError] * 3
    assert "0.05" in str(values[2])
    assert [engine.call("slow", x=x) for x in range(3)] == [0, 1, 2], "to try again is the caller's choice"
    hang.set()
    assert batches == [[0, 1, 2], [0], [1], [2]], "a lost call must not run again by itself"


def test_a_deadline_expires_its_own_call_only(engine: vf.Engine, gate: Gate) -> None:
    running = engine.submit("gate", x=0)
    assert gate.started.wait(WAIT)
    hurried = engine.submit("gate", x=1, deadline=0.001)
    patient = engine.submit("gate", x=1)
    with pytest.raises(errors.DeadlineExceededError):
        hurried.result(WAIT)
    gate.opened.set()
    assert (running.result(WAIT), patient.result(WAIT)) == (0, 1)


def test_a_cancelled_call_never_runs(engine: vf.Engine, gate: Gate) -> None:
    running = engine.submit("gate", x=0)
    assert gate.started.wait(WAIT)
    waiting = engine.submit("gate", x=1)
    assert waiting.cancel()
    assert waiting.cancelled()
    gate.opened.set()
    assert running.result(WAIT) == 0
    assert not running.cancel()
    engine.call("gate", x=2)
    assert gate.batches == [[{"x": 0}], [{"x": 2}]]
    with pytest.raises(concurrent.futures.CancelledError):
        waiting.result(0)


def test_many_calls_can_time_out_and_go_on(engine: vf.Engine, gate: Gate) -> None:
    many = engine.submit_many("gate", [{"x": 1}, {"x": 2}])
    with pytest.raises(errors.DeadlineExceededError, match="2 of 2"):
        many.result(timeout=0)
    gate.opened.set()
    assert [done.value for done in many] == [1, 2]
    assert many.result(0) == [1, 2]


def test_priority_goes_first_and_flows_take_turns(engine: vf.Engine, gate: Gate) -> None:
    engine.submit("gate", x="running")
    assert gate.started.wait(WAIT)
    futures = [engine.submit("gate", x=f"a{i}", flow="a") for i in range(3)]
    futures += [engine.submit("gate", x=f"b{i}", flow="b") for i in range(2)]
    futures += [engine.submit("gate", x="urgent", priority=1, flow="a")]
    gate.opened.set()
    concurrent.futures.wait(futures, WAIT)
    order = [batch[0]["x"] for batch in gate.batches]
    assert order == ["running", "urgent", "a0", "b0", "a1", "b1", "a2"]


def test_submit_waits_for_room_and_nested_calls_do_not() -> None:
    gate = Gate()
    with vf.Engine(threads=1, max_calls=1) as engine:
        engine.register(vf.Op("gate", "1", policy=vf.BatchPolicy(max_batch=1), run=gate))
        submitted = threading.Event()
        first = engine.submit("gate", x=0)

        def submit_another() -> None:
            engine.submit("gate", x=1).result(WAIT)
            submitted.set()

        thread = threading.Thread(target=submit_another)
        thread.start()
        until = time.monotonic() + WAIT
        while engine.stats()["admission"]["lobby"] == 0:
            assert time.monotonic() < until
        nested = engine.submit("gate", x=2, nested=True)
        assert engine.stats()["admission"]["lobby"] == 1, "the one waits, the nested one does not"
        assert not submitted.is_set()
        gate.opened.set()
        assert (first.result(WAIT), nested.result(WAIT)) == (0, 2)
        assert submitted.wait(WAIT)
        thread.join(WAIT)


def deeply_nested() -> list[Any]:
    nested: list[Any] = []
    for _ in range(10_000):
        nested = [nested]
    return nested


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": math.nan}, "NaN"),
        ({"x": [1, {"y": math.nan}]}, "NaN"),
        ({"x": deeply_nested()}, "nested deeper"),
        ({"x": 1, "deadline": math.nan}, "deadline is NaN"),
    ],
)
def test_bad_arguments_are_refused(
    engine: vf.Engine, double: list[int], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(errors.InvalidArgumentError, match=message):
        engine.call("double", **arguments)


def contains_itself() -> dict[str, Any]:
    tree: dict[str, Any] = {"children": []}
    tree["children"] += [{"parent": tree}, {"parent": tree}]
    return tree


def shares_its_parts() -> list[Any]:
    shared: list[Any] = []
    for _ in range(40):
        shared = [shared, shared]
    return shared


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (contains_itself(), "is nested deeper than 64 levels, or contains itself; flatten it"),
        (deeply_nested(), "is nested deeper than 64 levels, or contains itself; flatten it"),
        (shares_its_parts(), "has more than 10000000 parts; return arrays"),
    ],
    ids=["contains itself", "deep", "shares its parts"],
)
def test_a_result_without_end_fails_its_own_call(engine: vf.Engine, result: Any, message: str) -> None:
    engine.register(vf.Op("deep", "1", run=lambda calls: [result if call["x"] else "flat" for call in calls]))
    deep, flat = engine.submit_many("deep", [{"x": 1}, {"x": 0}]).result(WAIT, return_exceptions=True)
    assert flat == "flat"
    assert isinstance(deep, errors.OpError)
    assert f"a result of 'deep' {message}" in str(deep)


def test_a_number_that_python_has_none_for_has_no_identity_and_is_refused_by_native_ops(engine: vf.Engine) -> None:
    engine.register(vf.Op("name", "1", run=lambda calls: [type(call["x"]).__name__ for call in calls]))
    assert engine.call("name", x=np.longdouble(1)) == "longdouble"
    image = engine.image(np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(errors.InvalidArgumentError, match="of type longdouble"):
        engine.call("image.rotate", image, angle=np.longdouble(90))


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (9, 9, 1, 1), (0, 0, 1), "box", (math.nan, 0, 1, 1), {1, 2}, 2**70])
def test_bad_arguments_of_native_ops_are_refused(engine: vf.Engine, box: Any) -> None:
    image = engine.image(np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(errors.InvalidArgumentError):
        engine.submit("image.zoom", image, box=box, size=(4, 4)).result(WAIT)


def test_a_bad_call_among_many_fails_alone(engine: vf.Engine, double: list[int]) -> None:
    bad: list[Any] = [{"x": 1}, {"x": math.nan}, "no dict"]
    values = engine.submit_many("double", bad).result(WAIT, return_exceptions=True)
    assert values[0] == 2
    assert [type(value) for value in values[1:]] == [errors.InvalidArgumentError] * 2


def test_an_unknown_op_is_not_found(engine: vf.Engine) -> None:
    with pytest.raises(errors.NotFoundError, match=r"image\.zoom"):
        engine.call("image.zoo")


def test_ops_and_engines_check_what_they_are_given(engine: vf.Engine, double: list[int]) -> None:
    with pytest.raises(errors.InvalidArgumentError, match="registered already"):
        engine.register(vf.Op("double", "2", run=lambda calls: calls))
    with pytest.raises(errors.InvalidArgumentError, match="max_batch"):
        vf.BatchPolicy(max_batch=0)
    with pytest.raises(errors.InvalidArgumentError, match="max_delay"):
        vf.BatchPolicy(max_delay=math.nan)
    with pytest.raises(errors.InvalidArgumentError, match="timeout"):
        vf.Op("slow", "1", run=lambda calls: calls, timeout=0)
    with pytest.raises(errors.InvalidArgumentError, match="threads"):
        vf.Engine(threads=0)
    with pytest.raises(errors.InvalidArgumentError, match="twice"):
        engine.call("image.zoom", engine.image(np.zeros((4, 4, 3), np.uint8)), image=1)


def test_a_failing_key_fails_its_call(engine: vf.Engine) -> None:
    engine.register(vf.Op("keyed", "1", run=lambda calls: [0] * len(calls), key=lambda call: call["k"]))
    values = engine.submit_many("keyed", [{"k": 1}, {}]).result(WAIT, return_exceptions=True)
    assert values[0] == 0
    assert isinstance(values[1].__cause__, KeyError)
