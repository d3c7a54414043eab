"""The fifteen rules of the core, one test each, seen from outside; the C++ tests go into their corners."""

from __future__ import annotations

import asyncio
import gc
import math
import os
import re
import threading
import weakref
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from engine_gate import WAIT, Gate
from engine_process import run_python

import vista_fast as vf
from vista_fast import errors
from vista_fast.engine import loops
from vista_fast.train.threads import split_threads

CSRC = Path(__file__).resolve().parents[2] / "csrc"

SLEEPS = re.compile(r"time\.sleep|sleep_for|asyncio\.sleep\((?!0\))")
"""asyncio.sleep(0) lets others run, and takes no time."""


def sources(*folders: str) -> dict[Path, str]:
    return {
        path: path.read_text(encoding="utf-8")
        for folder in folders
        for path in (CSRC / folder).rglob("*")
        if path.suffix in (".cc", ".h", ".inc")
    }


def test_rule_01_the_core_knows_nothing_of_python_and_the_scheduler_of_pixels() -> None:
    core = sources("base", "image", "sched", "exec", "ops")
    assert core
    assert not [path for path, text in core.items() if re.search(r"pybind11|Python\.h|PyObject", text)]
    assert not [path for path, text in sources("sched").items() if re.search(r'#include "(image|ops)/', text)]


def test_rule_02_every_accepted_request_completes_exactly_once() -> None:
    def run(calls: list[dict[str, Any]]) -> list[Any]:
        return [ValueError("odd") if call["x"] % 2 else call["x"] for call in calls]

    ended: Counter[int] = Counter()
    engine = vf.Engine(threads=1)
    engine.register(vf.Op("mixed", "1", run=run, policy=vf.BatchPolicy(max_batch=7)))
    handles = [
        engine.submit_many("mixed", [{"x": x} for x in range(1000)]),
        engine.submit_many("mixed", [{"x": x} for x in range(500, 1500)], deadline=0.001),
        engine.submit_many("mixed", [{"x": x} for x in range(1500, 2500)]),
    ]
    handles[2].cancel()
    engine.close(timeout=0.005)
    for first, handle in enumerate(handles):
        ended.update(10_000 * first + done.place for done in handle)
    assert len(ended) == 3000
    assert set(ended.values()) == {1}


def test_rule_03_no_native_thread_takes_the_gil_and_completions_come_many_at_a_time(
    monkeypatch: pytest.MonkeyPatch, engine: vf.Engine, double: list[int]
) -> None:
    assert not [path for path, text in sources("").items() if re.search(r"gil_scoped_acquire|PyGILState_", text)]
    wake_ups: list[int] = []

    def settle(queue: Any) -> None:
        wake_ups.append(1)
        settle_on_loop(queue)

    settle_on_loop = loops.CompletionQueue.settle_on_loop
    monkeypatch.setattr(loops.CompletionQueue, "settle_on_loop", settle)

    async def gather() -> list[Any]:
        return await asyncio.gather(*(engine.acall("double", x=x) for x in range(500)))

    assert asyncio.run(gather()) == list(range(0, 1000, 2))
    assert 1 <= len(wake_ups) <= len(double) < 500


def test_rule_04_policies_read_no_clock_and_take_no_lock_and_tests_do_not_sleep() -> None:
    policies = {path: text for path, text in sources("sched").items() if path.stem.endswith("policy")}
    assert {path.stem for path in policies} == {"batch_policy", "adaptive_policy"}
    assert not [path for path, text in policies.items() if re.search(r"mutex|lock_guard|Clock|::now\(", text)]
    assert SLEEPS.search("await asyncio.sleep(0.5)")
    assert not SLEEPS.search("await asyncio.sleep(0)")
    tests = Path(__file__).resolve().parents[1]
    for folder in ("cpp/sched", "cpp/exec", "engine", "image"):
        for path in (tests / folder).rglob("*.*"):
            if path.suffix in (".py", ".cc", ".h") and path != Path(__file__).resolve():
                assert not SLEEPS.search(path.read_text(encoding="utf-8")), path


def test_rule_05_a_batch_closes_full_or_late_or_urgent_or_when_nobody_is_expected(engine: vf.Engine) -> None:
    def register(name: str, max_delay: float) -> None:
        policy = vf.BatchPolicy(max_batch=2, max_delay=max_delay)
        engine.register(vf.Op(name, "1", run=lambda calls: [call["x"] for call in calls], policy=policy))

    def reasons(name: str) -> dict[str, int]:
        return {reason: count for reason, count in engine.stats()["ops"][name]["close_reasons"].items() if count}

    for name, max_delay in (("full", WAIT), ("late", 0.01), ("urgent", WAIT), ("alone", WAIT)):
        register(name, max_delay)
    with engine.expect("full", flow="a"), engine.expect("full", flow="b"):
        futures = [engine.submit("full", x=1, flow="a"), engine.submit("full", x=2, flow="b")]
        assert [future.result(WAIT) for future in futures] == [1, 2]
    with engine.expect("late", flow="other"):
        assert engine.call("late", x=1) == 1
    with engine.expect("urgent", flow="other"):
        assert engine.call("urgent", x=1, soft_deadline=0.02) == 1
    assert engine.call("alone", x=1) == 1
    assert reasons("full") == {"full": 1}
    assert reasons("late") == {"delay": 1}
    assert reasons("urgent") == {"deadline": 1}
    assert reasons("alone") == {"no_one_expected": 1}


def test_rule_06_identity_is_the_full_key_and_only_successes_are_cached(engine: vf.Engine) -> None:
    ran: list[Any] = []

    def run(calls: list[dict[str, Any]]) -> list[Any]:
        ran.extend(call["x"] for call in calls)
        return [ValueError("no") if call["x"] == "fails" else repr(call["x"]) for call in calls]

    engine.register(vf.Op("repr", "1", run=run))
    for x in (1, 1.0, True, "1", b"1", [1], -0.0, 0.0, 1):
        engine.call("repr", x=x)
    assert len(ran) == 7, "-0.0 is 0.0, and 1 was there already"
    for _ in range(2):
        with pytest.raises(errors.OpError):
            engine.call("repr", x="fails")
    assert ran.count("fails") == 2
    with pytest.raises(errors.InvalidArgumentError, match="NaN"):
        engine.call("repr", x=math.nan)
    with pytest.raises(errors.NotFoundError, match="no image with hash"):
        engine.held_image("0" * 32)


def test_rule_07_a_deadline_or_cancel_detaches_its_own_waiter_and_the_last_one_drops_the_flight(
    engine: vf.Engine, gate: Gate
) -> None:
    running = engine.submit("gate", x="first")
    assert gate.started.wait(WAIT)
    stays = engine.submit("gate", x=1)
    leaves, expires = engine.submit("gate", x=1), engine.submit("gate", x=1, deadline=0.01)
    dropped = engine.submit("gate", x=2)
    assert leaves.cancel()
    assert dropped.cancel()
    with pytest.raises(errors.DeadlineExceededError):
        expires.result(WAIT)
    gate.opened.set()
    assert (running.result(WAIT), stays.result(WAIT)) == ("first", 1)
    assert [batch[0]["x"] for batch in gate.batches] == ["first", 1]


def test_rule_08_priority_then_urgency_then_turns_between_flows(engine: vf.Engine, gate: Gate) -> None:
    futures = [engine.submit("gate", x="running")]
    assert gate.started.wait(WAIT)
    futures += [engine.submit("gate", x=f"a{index}", flow="a") for index in range(3)]
    futures += [engine.submit("gate", x="b0", flow="b"), engine.submit("gate", x="b1", flow="b")]
    futures += [engine.submit("gate", x="due", flow="c", soft_deadline=0.0)]
    futures += [engine.submit("gate", x="first", flow="c", priority=1)]
    gate.opened.set()
    assert [future.result(WAIT) for future in futures]
    order = [batch[0]["x"] for batch in gate.batches]
    assert order == ["running", "first", "due", "a0", "b0", "a1", "b1", "a2"]


async def test_rule_09_admission_waits_without_blocking_the_loop_and_lets_nested_calls_in() -> None:
    gate = Gate()
    with vf.Engine(threads=1, max_calls=1) as engine:
        engine.register(vf.Op("gate", "1", policy=vf.BatchPolicy(max_batch=1), run=gate))
        calls = [engine.acall("gate", x=x) for x in range(3)]
        nested = engine.acall("gate", x=3, nested=True)
        many = engine.submit_many("gate", [{"x": 4}, {"x": 5}])
        late = engine.acall("gate", x=6, deadline=0.01)
        with pytest.raises(errors.DeadlineExceededError):
            await late
        waiting = engine.stats()["admission"]
        gate.opened.set()
        assert await asyncio.gather(*calls, nested) == [0, 1, 2, 3]
        assert await many == [4, 5]
        assert waiting["lobby"] == 4, waiting


def test_rule_10_a_batch_gives_what_each_call_gives_alone_and_one_poisoned_member_fails_alone(
    engine: vf.Engine,
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    image = vf.Image.from_array(pixels)
    calls = [{"image": image, "size": (40 + x, 50), "filter": "lanczos"} for x in range(9)]
    together = engine.submit_many("image.resize", calls).result()
    with vf.Engine(threads=1, cache_bytes=0) as other:
        for call, result in zip(calls, together, strict=True):
            assert np.array_equal(np.asarray(other.call("image.resize", **call)), np.asarray(result))

    def run(batch: list[dict[str, Any]]) -> list[Any]:
        return [100 // call["x"] for call in batch]

    engine.register(vf.Op("divide", "1", run=run))
    values = engine.submit_many("divide", [{"x": x} for x in (1, 0, 2)]).result(WAIT, return_exceptions=True)
    assert (values[0], values[2]) == (100, 50)
    assert isinstance(values[1], errors.OpError)


def test_rule_11_a_fork_is_told_what_to_do_and_an_abandoned_puller_is_replaced() -> None:
    done = run_python(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, about fork beside threads
        engine = vf.Engine(threads=1)
        hang = threading.Event()
        engine.register(vf.Op("hangs", "1", run=lambda calls: [hang.wait(call["x"]) for call in calls], timeout=0.05))
        try:
            engine.call("hangs", x=60)
        except vf.errors.AbortedError:
            print(engine.call("hangs", x=0), engine.stats()["ops"]["hangs"]["lost_pullers"])
        child = os.fork()
        if child == 0:
            try:
                engine.call("hangs", x=0)
            except RuntimeError as error:
                print("after fork" in str(error))
            sys.exit()
        os.waitpid(child, 0)
        """
    )
    assert (done.returncode, sorted(done.stdout.split())) == (0, sorted(["False", "1", "True"])), done.stderr


def test_rule_12_errors_are_typed_and_say_what_was_wrong_and_what_to_do(engine: vf.Engine, gate: Gate) -> None:
    image = vf.Image.from_array(np.zeros((4, 4, 3), np.uint8))
    expected: list[tuple[Any, type[Exception], str]] = [
        (
            lambda: engine.call("image.resize", image, size=(0, 4)),
            errors.InvalidArgumentError,
            r"size is \[0, 4\]; give two whole numbers",
        ),
        (lambda: engine.call("nothing"), errors.NotFoundError, "nothing.*image.resize"),
        (lambda: vf.Engine(threads=0), errors.InvalidArgumentError, "threads is 0; it must be at least 1"),
        (lambda: vf.Image.decode(b"GIF89a"), errors.InvalidArgumentError, "47 49 46.*give"),
    ]
    for call, error, message in expected:
        with pytest.raises(error, match=message) as caught:
            call()
        assert isinstance(caught.value, errors.VistaError)


def test_rule_13_python_objects_are_released_on_python_threads(engine: vf.Engine) -> None:
    class Held:
        pass

    released: list[threading.Thread] = []
    engine.register(vf.Op("hold", "1", run=lambda calls: [len(call) for call in calls], cacheable=False))
    for x in range(50):
        held = Held()
        weakref.finalize(held, lambda: released.append(threading.current_thread()))
        future = engine.submit("hold", x=held)
        del held
        if x % 2:
            future.cancel()
        else:
            assert future.result(WAIT) == 1
        del future
    engine.close()
    gc.collect()
    assert len(released) == 50
    assert not [thread for thread in released if isinstance(thread, threading._DummyThread)]


def test_rule_14_results_are_shared_and_frozen_and_what_comes_in_is_copied(engine: vf.Engine) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    image = vf.Image.from_array(pixels)
    pixels[:] = 9
    assert np.asarray(image).max() == 0
    first, again = (engine.call("image.preprocess", image)["pixel_values"] for _ in range(2))
    assert np.shares_memory(first, again)
    for frozen in (first, np.asarray(image)):
        with pytest.raises(ValueError, match="read-only"):
            frozen[0] = 1
    taken = np.from_dlpack(image)
    assert not np.shares_memory(taken, np.asarray(image)) or not taken.flags.writeable


def test_rule_15_one_setting_shares_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rapidocr")

    def workers() -> int:
        names = [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
        return sum(name.startswith("vista-worker") for name in names)

    before = workers()
    with vf.Engine(threads=3) as engine:
        assert (engine.threads, workers() - before) == (3, 3)
        assert threads_of_networks(engine, monkeypatch) == [3, 3]
    for budget, decoding in ((1, 1), (2, 1), (3, 1), (8, 4)):
        split = split_threads(budget)
        assert split.torch == budget, "training runs alone"
        assert (split.decoding, split.decoding + split.tools) == (decoding, decoding + budget), "decoding beside tools"
    assert split_threads() == split_threads(len(os.sched_getaffinity(0)))


def threads_of_networks(engine: vf.Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads with which the engine's OCR loads its two networks; they are not loaded, which no library of networks
    does under a sanitizer."""
    from vista_fast.models.backend import TensorSpec
    from vista_fast.models.ocr import OcrConfig, ops, reader

    loaded: list[int] = []

    def load(path: Any, *, threads: int, **options: Any) -> Any:
        loaded.append(threads)
        pixels, lines = (TensorSpec("x", (None,) * rank, np.dtype(np.float32)) for rank in (4, 3))
        return SimpleNamespace(inputs=(pixels,), outputs=(pixels if len(loaded) == 1 else lines,))

    monkeypatch.setattr(ops, "check_installed", lambda config: None)
    monkeypatch.setattr(reader, "open_model", load)
    for name in ("detection_weights", "recognition_weights"):
        monkeypatch.setattr(reader, name, lambda weights: None)
    monkeypatch.setattr(reader.recognition, "charset", lambda network, characters: [])
    ops.register_ocr(engine, OcrConfig())
    with pytest.raises(errors.OpError):
        engine.call("ocr.detect", np.zeros((40, 40, 3), np.uint8))
    return loaded
