"""Counts between two stats of an engine."""

from __future__ import annotations

from typing import Any

import pytest

from vista_fast.rollout import engine_activity


def op(submitted: int, joined: int, cached: int, batches: int, mean: float) -> dict[str, Any]:
    sizes = {"count": batches, "mean": mean}
    return {"submitted": submitted, "joined": joined, "cached": cached, "batches": batches, "batch_size": sizes}


def test_only_what_happened_in_between_counts() -> None:
    before = {"ops": {"ocr.detect": op(10, 2, 3, 5, 1.0), "image.preprocess": op(9, 0, 0, 9, 1.0)}}
    after = {
        "ops": {
            "ocr.detect": op(30, 7, 5, 9, 17 / 9),
            "image.zoom": op(4, 0, 0, 1, 4.0),
            "image.preprocess": op(90, 0, 0, 9, 10.0),
        }
    }
    activity = engine_activity(before, after)
    assert (activity.requests, activity.joined, activity.cached, activity.batches) == (24, 5, 2, 5)
    assert activity.mean_batch == pytest.approx(16 / 5)
    assert activity.shared == pytest.approx(7 / 24)
    idle = engine_activity(after, after)
    assert (idle.requests, idle.mean_batch, idle.shared) == (0, 0.0, 0.0)
