"""The engine's statistics in the text format of Prometheus (exposition format 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_STATUSES = ("succeeded", "failed", "expired", "cancelled", "aborted")

_COUNTERS = {
    "submitted": "Calls that were submitted",
    "joined": "Calls that joined an equal call in flight",
    "cached": "Calls that found their result in the cache",
    "evicted": "Results that left the cache for newer ones",
    "rerun_alone": "Calls that ran again by themselves after their batch failed as a whole",
    "lost_pullers": "Batches that were given up with their puller",
}
_GAUGES = {
    "waiting": "Calls that wait for a batch",
    "running": "Batches that run",
    "expected": "Expectations that are open",
    "cached_bytes": "Bytes of results in the cache",
}
_HISTOGRAMS = {
    "batch_size": ("batch_size_calls", "Calls in a batch"),
    "queue": ("queue_seconds", "Time until a puller was free"),
    "batch_wait": ("batch_wait_seconds", "Time that a batch was held open for company while a puller was free"),
    "run": ("run_seconds", "Time that a batch ran"),
    "latency": ("latency_seconds", "Time from the submission of a call to its completion"),
}
_ENGINE_GAUGES = {
    ("admission", "outstanding"): ("outstanding_calls", "Calls that are not complete"),
    ("admission", "flights"): ("admitted_calls", "Different calls inside the engine"),
    ("admission", "bytes"): ("admitted_bytes", "Bytes of the arguments inside the engine"),
    ("admission", "lobby"): ("lobby_calls", "Different calls that wait for room"),
    ("cache", "entries"): ("cache_entries", "Results in the cache"),
    ("cache", "bytes"): ("cache_bytes", "Bytes of the results in the cache"),
    ("cache", "budget"): ("cache_budget_bytes", "Bytes that the results in the cache may take"),
    ("images", "entries"): ("image_entries", "Images held"),
    ("images", "bytes"): ("image_bytes", "Bytes of the Images held"),
    ("images", "budget"): ("image_budget_bytes", "Bytes that the Images held may take"),
}


def prometheus_text(stats: dict[str, Any]) -> str:
    """What ``Engine.stats`` gave, as metrics ``vista_fast_...``, with the label ``op`` where they are of one Op."""
    return "\n".join(_lines(stats)) + "\n"


def _lines(stats: dict[str, Any]) -> Iterator[str]:
    ops: dict[str, dict[str, Any]] = stats["ops"]
    for key, meaning in _COUNTERS.items():
        yield from _family(f"{key}_total", "counter", meaning)
        yield from (_sample(f"{key}_total", {"op": name}, op[key]) for name, op in ops.items())
    yield from _family("completed_total", "counter", "Calls that were completed, by how they ended")
    for name, op in ops.items():
        yield from (_sample("completed_total", {"op": name, "status": each}, op[each]) for each in _STATUSES)
    yield from _family("batches_total", "counter", "Batches that were started, by why they closed")
    for name, op in ops.items():
        for reason, count in op["close_reasons"].items():
            yield _sample("batches_total", {"op": name, "reason": reason}, count)
    for key, meaning in _GAUGES.items():
        yield from _family(key, "gauge", meaning)
        yield from (_sample(key, {"op": name}, op[key]) for name, op in ops.items())
    for key, (metric, meaning) in _HISTOGRAMS.items():
        yield from _family(metric, "histogram", meaning)
        for name, op in ops.items():
            yield from _histogram(metric, name, op[key])
    for (group, key), (metric, meaning) in _ENGINE_GAUGES.items():
        yield from _family(metric, "gauge", meaning)
        yield _sample(metric, {}, stats[group][key])


def _family(metric: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP vista_fast_{metric} {meaning}."
    yield f"# TYPE vista_fast_{metric} {kind}"


def _histogram(metric: str, op: str, distribution: dict[str, Any]) -> Iterator[str]:
    for bound, count in distribution["buckets"]:
        yield _sample(f"{metric}_bucket", {"op": op, "le": f"{bound:g}"}, count)
    yield _sample(f"{metric}_bucket", {"op": op, "le": "+Inf"}, distribution["count"])
    yield _sample(f"{metric}_sum", {"op": op}, distribution["sum"])
    yield _sample(f"{metric}_count", {"op": op}, distribution["count"])


def _sample(metric: str, labels: dict[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"vista_fast_{metric}{{{inside}}} {value!r}" if inside else f"vista_fast_{metric} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
