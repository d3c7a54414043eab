from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import json
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from engine_gate import WAIT, Gate

import vista_fast as vf
from vista_fast import errors


class Named(NamedTuple):
    array: np.ndarray


def test_every_way_of_calling_gives_the_same_result(engine: vf.Engine, double: list[int]) -> None:
    async def on_a_loop() -> list[Any]:
        return [await engine.acall("double", x=4), *await engine.submit_many("double", [{"x": 4}])]

    assert engine.call("double", x=4) == 8
    assert engine.submit("double", x=4).result(WAIT) == 8
    assert engine.submit_many("double", [{"x": 4}, {"x": 5}]).result(WAIT) == [8, 10]
    assert asyncio.run(on_a_loop()) == [8, 8]


def test_submit_gives_a_concurrent_future_and_acall_a_future_of_the_loop(engine: vf.Engine, double: list[int]) -> None:
    async def on_a_loop() -> bool:
        future = engine.acall("double", x=1)
        return isinstance(future, asyncio.Future) and await future == 2

    futures = [engine.submit("double", x=x) for x in range(10)]
    done, pending = concurrent.futures.wait(futures, WAIT)
    assert (len(done), len(pending)) == (10, 0)
    assert asyncio.run(on_a_loop())


def test_equal_calls_run_once(engine: vf.Engine, gate: Gate) -> None:
    futures = [engine.submit("gate", x=7) for _ in range(8)]
    assert gate.started.wait(WAIT)
    gate.opened.set()
    assert [future.result(WAIT) for future in futures] == [7] * 8
    assert gate.batches == [[{"x": 7}]]
    assert [future.outcome for future in futures] == ["run"] + ["joined"] * 7
    again = engine.submit("gate", x=7)
    assert (again.result(WAIT), again.outcome) == (7, "cached")
    stats = engine.stats()["ops"]["gate"]
    assert (stats["submitted"], stats["joined"], stats["cached"], stats["batches"]) == (9, 7, 1, 1)


def test_identity_tells_types_apart_but_not_spellings(engine: vf.Engine) -> None:
    seen: list[Any] = []

    def run(calls: list[dict[str, Any]]) -> list[Any]:
        seen.extend(call["x"] for call in calls)
        return [0] * len(calls)

    engine.register(vf.Op("seen", "1", run=run))
    different = [1, 1.0, True, "1", b"1", None, [1], {"a": 1}, np.ones(1), np.ones(1, np.float32), np.ones((1, 1))]
    same = [np.int64(1), np.float64(1.0), np.bool_(True), (1,)]
    engine.submit_many("seen", [{"x": x} for x in [*different, *same, 0.0, -0.0]]).result(WAIT)
    assert len(seen) == len(different) + 1


def test_uncacheable_ops_and_arguments_without_identity_run_every_time(engine: vf.Engine) -> None:
    sizes: list[int] = []

    def run(calls: list[dict[str, Any]]) -> list[Any]:
        sizes.append(len(calls))
        return [0] * len(calls)

    engine.register(vf.Op("plain", "1", run=run, cacheable=False))
    engine.register(vf.Op("cacheable", "1", run=run))
    engine.submit_many("plain", [{"x": 1}] * 5).result(WAIT)
    engine.submit_many("cacheable", [{"x": object()}] * 5).result(WAIT)
    assert sum(sizes) == 10


def test_what_says_more_than_its_numbers_has_no_identity(engine: vf.Engine) -> None:
    engine.register(vf.Op("total", "1", run=lambda calls: [str(call["x"].sum()) for call in calls]))
    for mask, total in (([0, 0, 0], "6.0"), ([0, 0, 1], "3.0")):
        assert engine.call("total", x=np.ma.array([1.0, 2.0, 3.0], mask=mask)) == total
    engine.register(vf.Op("show", "1", run=lambda calls: [repr(call["x"]) for call in calls]))
    for value in (np.datetime64(5, "ns"), np.timedelta64(5, "ns"), 5):
        assert engine.call("show", x=value) == repr(value)


@pytest.mark.parametrize(
    "make",
    [lambda: bytearray(3), lambda: {1, 2}, lambda: Named(np.zeros(3)), lambda: np.zeros(3).view(np.recarray), object],
    ids=["bytearray", "set", "named tuple", "subclass of an array", "object"],
)
def test_only_results_that_nobody_can_change_are_kept(engine: vf.Engine, make: Callable[[], Any]) -> None:
    ran: list[int] = []

    def run(calls: list[dict[str, Any]]) -> list[Any]:
        ran.append(len(calls))
        return [
            {"plain": [1, "a", None, np.float32(2)], "other": make()} if call["x"] else (1 << 99,) for call in calls
        ]

    engine.register(vf.Op("make", "1", run=run))
    for _ in range(2):
        engine.call("make", x=1)
        engine.call("make", x=0)
    assert len(ran) == 3, "the second kind alone is kept"
    assert engine.stats()["cache"]["entries"] == 1


def test_a_call_may_carry_its_original_objects(engine: vf.Engine) -> None:
    payload, array = object(), np.arange(3)

    def run(calls: list[dict[str, Any]]) -> list[Any]:
        return [call["payload"] is payload and call["array"] is array for call in calls]

    engine.register(vf.Op("original", "1", run=run))
    assert engine.call("original", payload=payload, array=array) is True


def test_compatibility_keys_are_never_mixed(engine: vf.Engine) -> None:
    batches: list[set[int]] = []

    def run(calls: list[dict[str, Any]]) -> list[Any]:
        batches.append({call["x"] % 3 for call in calls})
        return [None] * len(calls)

    engine.register(vf.Op("keyed", "1", run=run, key=lambda call: call["x"] % 3, size=lambda call: float(call["x"])))
    engine.submit_many("keyed", [{"x": x} for x in range(30)]).result(WAIT)
    assert {len(keys) for keys in batches} == {1}


@pytest.mark.parametrize("size", [float("inf"), float("nan"), -1.0])
def test_a_size_that_is_no_amount_is_refused(engine: vf.Engine, size: float) -> None:
    engine.register(vf.Op("sized", "1", run=lambda calls: [1] * len(calls), size=lambda call: call["size"]))
    engine.register(vf.Op("fixed", "1", run=lambda calls: [1] * len(calls), size=lambda call: size))
    with pytest.raises(errors.InvalidArgumentError, match="finite number"):
        engine.call("fixed")
    assert engine.call("sized", size=2.0) == 1


def test_results_are_shared_and_can_not_be_changed(engine: vf.Engine) -> None:
    batch = np.arange(8.0).reshape(2, 4)

    def run(calls: list[dict[str, Any]]) -> list[Any]:
        return [{"row": batch[0], "list": [1, {"deep": []}], "tuple": (1, 2)} for _ in calls]

    engine.register(vf.Op("shared", "1", run=run))
    first = engine.call("shared", x=1)
    second = engine.call("shared", x=1)
    assert not first["row"].flags.writeable
    with pytest.raises(ValueError, match="read-only"):
        first["row"][0] = 5
    batch[0, 0] = 99
    assert second["row"][0] == 0, "a result must not be a view of the batch that it came from"
    first["list"][1]["deep"].append(1)
    first["list"].clear()
    assert engine.call("shared", x=1)["list"] == [1, {"deep": []}]
    assert second["tuple"] == (1, 2)


def test_native_ops_run_beside_python_ones(engine: vf.Engine) -> None:
    image = engine.image(np.zeros((32, 48, 3), np.uint8))
    zoomed = engine.call("image.zoom", image, box=(0, 0, 16, 16), size=(8, 8))
    assert (zoomed.width, zoomed.height) == (8, 8)
    prepared = engine.call("image.preprocess", image)
    assert not prepared["pixel_values"].flags.writeable
    assert isinstance(prepared["grid_thw"], tuple)
    assert engine.submit("image.zoom", image, box=(0, 0, 16, 16), size=(8, 8)).result(WAIT) == zoomed


def test_python_objects_in_the_core_are_released(engine: vf.Engine) -> None:
    class Payload:
        pass

    engine.register(vf.Op("payload", "1", run=lambda calls: [Payload() for _ in calls], cacheable=False))
    payload = Payload()
    kept = [weakref.ref(payload), weakref.ref(engine.call("payload", payload=payload))]
    del payload
    for _ in range(2):  # what was let go of is released with the next completions
        engine.call("payload")
    gc.collect()
    assert [each() for each in kept] == [None, None]


def test_what_a_call_was_made_with_is_released_while_the_engine_idles(engine: vf.Engine) -> None:
    class Payload:
        pass

    engine.register(vf.Op("payload", "1", run=lambda calls: [None for _ in calls], cacheable=False))
    payload = Payload()
    gone = threading.Event()
    weakref.finalize(payload, gone.set)
    engine.call("payload", payload=payload)
    del payload
    assert gone.wait(WAIT)


def test_stats_tell_what_happened(engine: vf.Engine, double: list[int]) -> None:
    engine.submit_many("double", [{"x": x} for x in range(40)]).result(WAIT)
    stats = engine.stats()
    op = stats["ops"]["double"]
    assert op["batch_size"]["max"] == 32
    assert op["close_reasons"]["full"] == 1
    assert sum(op["close_reasons"].values()) == op["batches"] == len(double)
    assert op["succeeded"] == 40
    assert 0 < op["latency"]["p50"] < WAIT
    assert stats["admission"] == {"outstanding": 0, "flights": 0, "bytes": 0, "lobby": 0}
    assert 0 < stats["cache"]["bytes"] < stats["cache"]["budget"]
    assert json.dumps(stats)


def test_the_cache_keeps_to_its_budget() -> None:
    with vf.Engine(threads=1, cache_bytes=100_000) as engine:
        engine.register(vf.Op("rows", "1", run=lambda calls: [np.zeros(4000) for _ in calls]))
        for x in range(10):
            engine.call("rows", x=x)
        cache = engine.stats()["cache"]
        assert 1 <= cache["entries"] <= 3
        assert cache["bytes"] <= 100_000
        future = engine.submit("rows", x=0)
        future.result(WAIT)
        assert future.outcome == "run"


def test_an_expectation_makes_a_batch_wait(engine: vf.Engine) -> None:
    sizes: list[int] = []

    def run(calls: list[dict[str, Any]]) -> list[Any]:
        sizes.append(len(calls))
        return [None] * len(calls)

    engine.register(vf.Op("patient", "1", policy=vf.BatchPolicy(max_batch=8, max_delay=WAIT), run=run))
    with engine.expect("patient", flow="b"), engine.expect("patient", flow="c") as never_comes:
        first = engine.submit("patient", x=1, flow="a")
        second = engine.submit("patient", x=2, flow="b")
        assert engine.stats()["ops"]["patient"]["expected"] == 1
        never_comes.release()
        concurrent.futures.wait([first, second], WAIT)
    assert sizes == [2]
    assert engine.stats()["ops"]["patient"]["expected"] == 0


def test_a_trace_is_a_chrome_trace(engine: vf.Engine, double: list[int], tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    engine.call("double", x=0)
    with engine.trace(path):
        engine.submit_many("double", [{"x": 1}, {"x": 2}, {"x": 0}], flow="f").result(WAIT)
    events = json.loads(path.read_text())["traceEvents"]
    (batch,) = [event for event in events if event.get("cat") == "batch"]
    assert (batch["name"], batch["args"]["size"]) == ("double x 2", 2)
    calls = [event for event in events if event.get("cat") == "call"]
    assert sorted(call["args"]["outcome"] for call in calls) == ["cached", "run", "run"]
    assert len({call["tid"] for call in calls}) == 3 - (calls[0]["dur"] == 0)  # what overlaps gets rows of its own
    ends = {event["id"]: event for event in events if event["ph"] == "f"}
    starts = {event["id"]: event for event in events if event["ph"] == "s"}
    assert len(ends) == 2  # the cached call was in no Batch
    assert ends.keys() == starts.keys()
    for number, end in ends.items():
        assert (end["pid"], end["tid"]) == (batch["pid"], batch["tid"])
        assert starts[number]["ts"] <= end["ts"] == batch["ts"]
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json"]


def test_image_sources_are_decoded_once(engine: vf.Engine, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    image = engine.image(pixels)
    assert engine.image(image) is image
    assert np.array_equal(np.asarray(image), pixels)
    encoded = image.encode("png")
    path = tmp_path / "image.png"
    path.write_bytes(encoded)
    opened = engine.image(encoded)
    assert engine.image(path) is opened
    assert engine.image(str(path)) is opened
    assert engine.held_image(opened.hash) is opened
    assert np.array_equal(np.asarray(engine.image(image.to_pil())), pixels)
    pixels[:] = 0
    assert np.asarray(image).any()


def test_an_image_no_longer_held_is_a_typed_error(tmp_path: Path) -> None:
    with vf.Engine(threads=1, image_bytes=3 * 40_000) as engine:
        images = [engine.image(np.full((100, 100, 3), shade, np.uint8)) for shade in range(5)]
        assert engine.stats()["images"]["bytes"] <= 120_000
        assert engine.held_image(images[-1].hash) is images[-1]
        with pytest.raises(errors.NotFoundError, match="image_bytes"):
            engine.held_image(images[0].hash)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (b"", errors.InvalidArgumentError),
        (b"no image at all", errors.InvalidArgumentError),
        ("/no/such/file.png", errors.NotFoundError),
        ("https://example.org/image.png", errors.InvalidArgumentError),
        ("data:image/png;base64,%%%", errors.InvalidArgumentError),
        ("data:image/png,plain", errors.InvalidArgumentError),
        (3.5, errors.InvalidArgumentError),
        (np.zeros((4, 4), np.uint8), errors.InvalidArgumentError),
        (np.zeros((4, 4, 3), np.float32), errors.InvalidArgumentError),
    ],
)
def test_a_source_that_is_no_image_is_a_typed_error(engine: vf.Engine, source: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        engine.image(source)


def test_a_batch_function_may_call_the_engine(engine: vf.Engine, double: list[int]) -> None:
    engine.register(vf.Op("outer", "1", run=lambda calls: [engine.call("double", x=call["x"]) + 1 for call in calls]))
    assert engine.call("outer", x=3) == 7


def test_many_threads_may_call_at_once(engine: vf.Engine, double: list[int]) -> None:
    results: dict[int, int] = {}

    def call(x: int) -> None:
        results[x] = engine.call("double", x=x % 10)

    threads = [threading.Thread(target=call, args=(x,)) for x in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert results == {x: 2 * (x % 10) for x in range(40)}


def test_a_redirected_op_runs_where_its_image_lives(engine: vf.Engine) -> None:
    class Elsewhere:
        pass

    there = Elsewhere()
    engine.register(vf.Op("test.there", "1", run=lambda calls: [call["image"] for call in calls], cacheable=False))
    engine.redirect("image.zoom", Elsewhere, "test.there")

    async def gathered() -> list:
        return await asyncio.gather(engine.acall("image.zoom", there), engine.acall("image.zoom", image=there))

    host = engine.image(np.zeros((4, 4, 3), np.uint8))
    many = engine.submit_many("image.zoom", [{"image": there}, {"image": host, "size": (2, 2)}]).result()
    assert many[1].width == 2
    results = [engine.call("image.zoom", there), engine.submit("image.zoom", there, box=(0, 0, 1, 1)).result()]
    assert all(result is there for result in (*results, *asyncio.run(gathered()), many[0]))
    assert engine.takes("image.zoom", Elsewhere)
    assert not engine.takes("image.rotate", Elsewhere)
    with pytest.raises(errors.InvalidArgumentError, match=r"go to 'test\.there' already"):
        engine.redirect("image.zoom", Elsewhere, "test.there")
    with pytest.raises(errors.NotFoundError, match=r"no Op named 'test\.nowhere'"):
        engine.redirect("image.rotate", Elsewhere, "test.nowhere")
    assert not engine.takes("image.rotate", Elsewhere)
