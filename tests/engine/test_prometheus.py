"""Engine.prometheus, read by Prometheus' own parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

import vista_fast as vf


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
