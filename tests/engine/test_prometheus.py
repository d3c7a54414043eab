"""Engine.prometheus, read by Prometheus' own parser."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from engine_gate import WAIT, Gate
from prometheus_client.parser import text_string_to_metric_families

import vista_fast as vf
from vista_fast.errors import AbortedError, DeadlineExceededError

ENGINE_METRICS = (
    ("outstanding_calls", "admission", "outstanding"),
    ("admitted_calls", "admission", "flights"),
    ("admitted_bytes", "admission", "bytes"),
    ("lobby_calls", "admission", "lobby"),
    ("cache_entries", "cache", "entries"),
    ("cache_bytes", "cache", "bytes"),
    ("cache_budget_bytes", "cache", "budget"),
    ("image_entries", "images", "entries"),
    ("image_bytes", "images", "bytes"),
    ("image_budget_bytes", "images", "budget"),
)


def samples(engine: vf.Engine) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(engine.prometheus())
        for sample in family.samples
    }


def test_it_says_what_stats_say(engine: vf.Engine, double: list[int]) -> None:
    calls = [{"x": x} for x in range(40)]
    engine.submit_many("double", calls).result(30)
    engine.submit_many("double", calls).result(30)
    metrics, stats = samples(engine), engine.stats()["ops"]["double"]
    op = ("op", "double")
    assert metrics["vista_fast_submitted_total", (op,)] == 80
    assert metrics["vista_fast_cached_total", (op,)] == 40
    assert metrics["vista_fast_completed_total", (op, ("status", "succeeded"))] == 80
    assert metrics["vista_fast_completed_total", (op, ("status", "failed"))] == 0
    assert metrics["vista_fast_batches_total", (op, ("reason", "full"))] == 1
    assert metrics["vista_fast_cached_bytes", (op,)] == stats["cached_bytes"] > 0
    assert metrics["vista_fast_batch_size_calls_sum", (op,)] == 40
    assert metrics["vista_fast_batch_size_calls_bucket", (("le", "31"), op)] == len(double) - 1
    assert metrics["vista_fast_run_seconds_count", (op,)] == len(double)
    assert metrics["vista_fast_queue_seconds_count", (op,)] == 40
    assert 0 < metrics["vista_fast_latency_seconds_sum", (op,)] < 80 * 30
    assert metrics["vista_fast_outstanding_calls", ()] == 0


def expected_samples(stats: dict[str, Any]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """All samples but those of buckets, as ``Engine.stats`` has them."""
    expected: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for name, counts in stats["ops"].items():
        op = ("op", name)
        for key in ("submitted", "joined", "cached", "evicted", "rerun_alone", "lost_pullers"):
            expected[f"vista_fast_{key}_total", (op,)] = counts[key]
        for key in ("waiting", "running", "expected", "cached_bytes"):
            expected[f"vista_fast_{key}", (op,)] = counts[key]
        for key in ("succeeded", "failed", "expired", "cancelled", "aborted"):
            expected["vista_fast_completed_total", (op, ("status", key))] = counts[key]
        for key, count in counts["close_reasons"].items():
            expected["vista_fast_batches_total", (op, ("reason", key))] = count
        for key in ("queue", "batch_wait", "run", "latency", "batch_size"):
            metric = "vista_fast_batch_size_calls" if key == "batch_size" else f"vista_fast_{key}_seconds"
            expected[f"{metric}_count", (op,)] = counts[key]["count"]
            expected[f"{metric}_sum", (op,)] = counts[key]["sum"]
    for metric, group, key in ENGINE_METRICS:
        expected[f"vista_fast_{metric}", ()] = stats[group][key]
    return expected


def test_every_way_that_a_call_ends_is_counted_alike() -> None:
    gate, hang = Gate(), threading.Event()
    with vf.Engine(threads=1, cache_bytes=10_000) as engine:
        alone = vf.BatchPolicy(max_batch=1)
        engine.register(vf.Op("gate", "1", policy=alone, run=gate))
        engine.register(vf.Op("slow", "1", policy=alone, run=lambda calls: [hang.wait(WAIT)], timeout=0.01))
        engine.register(vf.Op("divide", "1", run=lambda calls: [1 // call["x"] for call in calls]))
        same = [engine.submit("gate", x=bytes(4000)) for _ in range(2)]
        assert gate.started.wait(WAIT)
        with pytest.raises(DeadlineExceededError):
            engine.call("gate", x=1, deadline=0.001)
        assert engine.submit("gate", x=2).cancel()
        gate.opened.set()
        assert [future.result(WAIT) for future in same] == [bytes(4000)] * 2
        assert engine.call("gate", x=bytes(4000)) == bytes(4000)
        for fill in (b"a", b"b", b"c"):
            engine.call("gate", x=4000 * fill)
        with pytest.raises(AbortedError):
            engine.call("slow")
        hang.set()
        engine.submit_many("divide", [{"x": 1}, {"x": 0}]).result(WAIT, return_exceptions=True)
        found = {key: value for key, value in samples(engine).items() if not key[0].endswith("_bucket")}
        stats = engine.stats()
        assert found == expected_samples(stats)
    counts = stats["ops"]["gate"]
    ended = [counts[key] for key in ("submitted", "joined", "cached", "succeeded", "expired", "cancelled", "aborted")]
    assert ended == [8, 1, 1, 6, 1, 1, 0]
    assert counts["evicted"] >= 2
    assert [stats["ops"]["slow"][key] for key in ("submitted", "aborted", "lost_pullers")] == [1, 1, 1]
    assert [stats["ops"]["divide"][key] for key in ("succeeded", "failed", "rerun_alone")] == [1, 1, 2]


def test_buckets_grow_to_the_count(engine: vf.Engine, double: list[int]) -> None:
    engine.submit_many("double", [{"x": x} for x in range(1000)]).result(30)
    for name in ("batch_size_calls", "queue_seconds", "batch_wait_seconds", "run_seconds", "latency_seconds"):
        buckets = [
            (float(dict(labels)["le"]), value)
            for (metric, labels), value in samples(engine).items()
            if metric == f"vista_fast_{name}_bucket" and ("op", "double") in labels
        ]
        counts = [count for _, count in sorted(buckets)]
        assert counts == sorted(counts)
        assert sorted(buckets)[-1][0] == float("inf")
        assert counts[-1] == samples(engine)[f"vista_fast_{name}_count", (("op", "double"),)]


def test_names_are_escaped(engine: vf.Engine) -> None:
    name = 'a "quoted"\\name\nof two lines'
    engine.register(vf.Op(name, "1", run=lambda calls: [None] * len(calls)))
    engine.call(name)
    assert samples(engine)["vista_fast_submitted_total", (("op", name),)] == 1
