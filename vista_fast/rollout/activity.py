"""What the engine did during a rollout: the difference between two ``Engine.stats()``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class EngineActivity:
    """Counts of Requests, over the Ops that tools use or over one.

    ``joined`` waited for another one's Flight, ``cached`` were answered from the cache; the rest ran in ``batches``,
    ``mean_batch`` at a time.
    """

    requests: int
    joined: int
    cached: int
    batches: int
    mean_batch: float

    @property
    def shared(self) -> float:
        """Share of Requests that ran nothing of their own."""
        return (self.joined + self.cached) / self.requests if self.requests else 0.0


def engine_activity(
    before: Mapping[str, Any], after: Mapping[str, Any], *, leave_out: tuple[str, ...] = ("image.preprocess",)
) -> EngineActivity:
    """What happened between two ``Engine.stats()``, the policy's own preprocessing left out."""
    requests = joined = cached = batches = 0
    members = 0.0
    for name, now in after["ops"].items():
        if name in leave_out:
            continue
        then = before["ops"].get(name)
        requests += _since(then, now, "submitted")
        joined += _since(then, now, "joined")
        cached += _since(then, now, "cached")
        batches += _since(then, now, "batches")
        members += _members(now) - (_members(then) if then is not None else 0.0)
    return EngineActivity(requests, joined, cached, batches, members / batches if batches else 0.0)


def _since(then: Mapping[str, Any] | None, now: Mapping[str, Any], count: str) -> int:
    return int(now[count]) - (int(then[count]) if then is not None else 0)


def _members(op: Mapping[str, Any]) -> float:
    sizes = op["batch_size"]
    return float(sizes["mean"]) * int(sizes["count"])
