"""How the scheduler bears numbers: a call's time with 100 to 20,000 flows waiting, and the memory of one that waits."""

from __future__ import annotations

import gc
import multiprocessing
import statistics
import sys
import threading
from pathlib import Path
from typing import Any

from _measuring import Peer, Row, in_turns, options, seconds
from _profile import profiled
from _table import finish

import vista_fast as vf

FLOWS = (100, 1_000, 5_000, 20_000)
REPEATS = 5


def resident_bytes() -> int:
    """What this process holds in memory."""
    line = next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) << 10


def microseconds_per_call(flows: int, calls: int) -> float:
    """Of calls spread over so many flows, all submitted before the first one runs."""
    gate = threading.Event()

    def run(batch: list[dict[str, Any]]) -> list[None]:
        gate.wait()
        return [None] * len(batch)

    with vf.Engine(threads=1, cache_bytes=0) as engine:
        engine.register(vf.Op("nothing", "1", policy=vf.BatchPolicy(max_batch=64), run=run, cacheable=False))
        each = [[{"x": x}] for x in range(calls)]

        def work() -> None:
            handles = [engine.submit_many("nothing", call, flow=x % flows) for x, call in enumerate(each)]
            gate.set()
            for handle in handles:
                handle.result()

        return 1e6 * seconds(work) / calls


def bytes_per_waiting_call(count: int) -> float:
    """Growth of the process by calls that wait, less what the same calls take as Python objects alone."""
    gate = threading.Event()

    def run(batch: list[dict[str, Any]]) -> list[None]:
        gate.wait()
        return [None] * len(batch)

    with vf.Engine(threads=1, cache_bytes=0, max_calls=2 * count) as engine:
        engine.register(vf.Op("held", "1", policy=vf.BatchPolicy(max_batch=1), run=run, cacheable=False))
        calls = [{"x": x} for x in range(count)]
        gc.collect()
        before = resident_bytes()
        handle = engine.submit_many("held", calls)
        grown = resident_bytes() - before
        gate.set()
        handle.cancel()
        del handle
    return grown / count


def in_processes(count: int, repeats: int) -> list[float]:
    """Each in a process of its own: memory that was freed would be used again, and the process not grow."""
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as fresh:
        return fresh.map(bytes_per_waiting_call, [count] * repeats, chunksize=1)


def main() -> None:
    given = options(__doc__, repeats=REPEATS)
    calls = 400 if given.quick else 40_000
    flows = FLOWS[:2] if given.quick else FLOWS
    rows = [
        Row(
            "memory of a waiting call",
            "bytes",
            "lower",
            in_processes(2_000 if given.quick else 200_000, given.repeats),
            limit=2048,
            bound_by="its Request, its Flight and the Python objects of its arguments that the core holds",
            physical=sys.getsizeof({}) + 8,
            physical_is="an empty dict of arguments and the pointer to it",
        )
    ]
    works = {n: lambda n=n: microseconds_per_call(n, calls) for n in (1, *flows)}
    figures = in_turns({str(n): work for n, work in works.items()}, given.repeats)
    fewest = Peer(f"{flows[0]} flows", figures[str(flows[0])], at_least=1 / 1.2)
    rows += [
        Row(
            f"a call with {n:,} flows waiting",
            "µs",
            "lower",
            figures[str(n)],
            [fewest],
            bound_by="Python objects under the GIL; with more flows also cache misses, as each call finds its account "
            "further from the core",
            physical=statistics.median(figures["1"]),
            physical_is="the same calls in one flow",
        )
        for n in flows[1:]
    ]
    finish(rows, given, __file__, profiled(given, f"calls with {flows[-1]:,} flows waiting", works[flows[-1]]))


if __name__ == "__main__":
    main()
