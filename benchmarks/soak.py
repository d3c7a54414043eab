"""Millions of calls that succeed, fail, expire, are dropped, join or hit: each ends once, and memory stays flat.

One long run, whatever --repeats says: what it looks for is growth over time.
"""

from __future__ import annotations

import collections
import gc
import random
from pathlib import Path
from typing import Any

from _measuring import Row, options
from _profile import profiled
from _table import finish

import vista_fast as vf
from vista_fast.errors import AbortedError, DeadlineExceededError, OpError

CALLS, WAVE = 2_000_000, 2_000
WARM_UP = 0.25  # of the calls


def resident_megabytes() -> float:
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def run(calls: list[dict[str, Any]]) -> list[Any]:
    """Fails the calls that ask for it; and as a whole now and then, so that its members run again one by one."""
    if any(call.get("whole") for call in calls) and len(calls) > 1:
        raise ValueError("as a whole")
    return [ValueError("asked to fail") if call["x"] % 11 == 0 else bytes(call["x"] % 512) for call in calls]


def wave(engine: vf.Engine, draw: random.Random, count: int, first: int) -> collections.Counter[str]:
    """Submits ``count`` calls of all kinds, and says how they ended."""
    ended: collections.Counter[str] = collections.Counter()
    fresh = [{"x": first + x, "whole": draw.random() < 0.001} for x in range(count // 2)]
    again = [{"x": draw.randrange(500)} for _ in range(count // 4)]
    hurried = [{"x": first + x, "hurried": True} for x in range(count // 8)]
    dropped = [{"x": first + x, "dropped": True} for x in range(count - len(fresh) - len(again) - len(hurried))]
    flow = draw.randrange(64)
    handles = [
        engine.submit_many("mixed", fresh, flow=flow),
        engine.submit_many("mixed", again, flow=flow + 1, priority=1),
        engine.submit_many("mixed", hurried, flow=flow + 2, deadline=0.0005, soft_deadline=0.0002),
        engine.submit_many("mixed", dropped, flow=flow + 3),
    ]
    handles[-1].cancel()
    for handle in handles:
        for done in handle:
            ended[type(done.error).__name__ if done.error else done.outcome] += 1
            assert done.error is None or isinstance(done.error, (OpError, DeadlineExceededError, AbortedError))
    return ended


def main() -> None:
    given = options(__doc__, repeats=1)
    total = 20_000 if given.quick else CALLS
    ended: collections.Counter[str] = collections.Counter()
    draw = random.Random(5)
    with vf.Engine(cache_bytes=8 << 20) as engine:
        engine.register(vf.Op("mixed", "1", policy=vf.BatchPolicy(max_batch=128), run=run, concurrency=2))
        level, highest = 0.0, 0.0
        for first in range(0, total, WAVE):
            ended += wave(engine, draw, WAVE, first)
            if first % (total // 100) < WAVE:
                gc.collect()
                if first <= WARM_UP * total:
                    level = max(level, resident_megabytes())
                else:
                    highest = max(highest, resident_megabytes())
        stats = engine.stats()["ops"]["mixed"]
        profiles = profiled(given, "a wave of mixed calls", lambda: wave(engine, draw, WAVE, total))
    completed = sum(stats[key] for key in ("succeeded", "failed", "expired", "cancelled", "aborted"))
    assert sum(ended.values()) == total, f"{sum(ended.values())} of {total} calls were answered"
    assert stats["submitted"] == completed == total, (
        f"the engine counts {stats['submitted']} calls, {completed} complete"
    )
    print(f"{total:,} calls: {dict(ended)}; batches {stats['batches']:,}, run again alone {stats['rerun_alone']:,}")
    finish(
        [
            Row(
                f"one run of {total:,} mixed calls: memory at its highest, above that of its first quarter",
                "MB",
                "lower",
                [max(highest - level, 0.0)],
                limit=20.0,
                bound_by="the allocator: caches are at their budgets by then, and every call completed exactly once",
                physical=0.0,
                physical_is="no growth",
            )
        ],
        given,
        __file__,
        profiles,
    )


if __name__ == "__main__":
    main()
