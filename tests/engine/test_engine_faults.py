"""What the system refuses, and functions that break: every call is answered once, and the engine still serves."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
from collections import Counter
from typing import Any

from engine_gate import WAIT
from engine_process import not_under_asan, run_python

import vista_fast as vf
from vista_fast.errors import AbortedError, OpError


class FaultyOp:
    """A batch function that raises, gives too few results, hangs or kills its thread, as a seed decides."""

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self._lock = threading.Lock()
        self.let_go = threading.Event()

    def __call__(self, calls: list[dict[str, Any]]) -> list[Any]:
        with self._lock:
            fault = self._draw.choice(["none"] * 12 + ["raise", "few", "many", "none at all", "member", "exit", "hang"])
        if fault == "raise":
            raise ValueError("as a whole")
        if fault == "exit":
            raise SystemExit(3)
        if fault == "hang":
            self.let_go.wait(WAIT)
        results: list[Any] = [call["x"] for call in calls]
        if fault == "member":
            results[0] = ValueError("one of them")
        return {"few": results[:-1], "many": [*results, 1], "none at all": None}.get(fault, results)  # type: ignore[return-value]


def test_whatever_a_batch_function_does_every_call_is_answered_once() -> None:
    faulty = FaultyOp(seed=1)
    with vf.Engine(threads=1, cache_bytes=0) as engine:
        policy = vf.BatchPolicy(max_batch=8)
        engine.register(vf.Op("faulty", "1", policy=policy, run=faulty, timeout=0.02, concurrency=2, cacheable=False))
        answered: Counter[int] = Counter()
        for done in engine.submit_many("faulty", [{"x": x} for x in range(600)]):
            answered[done.place] += 1
            if done.error is None:
                assert done.value == done.place
            else:
                assert isinstance(done.error, OpError | AbortedError)
        faulty.let_go.set()
        assert answered == Counter(range(600))
        counts = engine.stats()["ops"]["faulty"]
        assert counts["lost_pullers"] > 0
        assert counts["succeeded"] + counts["failed"] + counts["aborted"] == 600
        engine.register(vf.Op("sound", "1", run=lambda calls: [2 * call["x"] for call in calls]))
        assert engine.call("sound", x=21) == 42


async def test_a_full_event_counter_loses_no_completion(engine: vf.Engine, double: list[int]) -> None:
    assert await engine.acall("double", x=0) == 0
    for queue in (engine._loops.of(asyncio.get_running_loop()), engine._drain.queue):
        os.write(queue.fileno(), (2**64 - 2).to_bytes(8, sys.byteorder))
    # The first is in the cache: its completion comes at once, before this loop has read the counter.
    calls = asyncio.gather(*(engine.acall("double", x=x) for x in range(5)))
    assert await asyncio.wait_for(calls, WAIT) == [0, 2, 4, 6, 8]
    assert await asyncio.to_thread(engine.submit("double", x=9).result, WAIT) == 18


def test_a_descriptor_that_others_closed_neither_stops_nor_busies_the_draining_thread() -> None:
    done = run_python(
        """
        import time
        with vf.Engine(threads=1) as engine:
            engine.register(vf.Op("double", "1", run=lambda calls: [2 * call["x"] for call in calls]))
            engine.register(vf.Op("spin", "1", run=lambda calls: [sum(range(3_000_000)) for call in calls]))
            os.close(engine._drain.queue.fileno())
            print([engine.submit("double", x=x).result(30) for x in range(3)])
            clock = time.pthread_getcpuclockid(engine._drain._thread.ident)
            before = time.clock_gettime(clock), time.process_time()
            engine.call("spin")
            print(time.clock_gettime(clock) - before[0] < 0.1 * (time.process_time() - before[1]))
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[0, 2, 4]\nTrue\n", "")


@not_under_asan
def test_an_engine_without_descriptors_is_a_typed_error_and_the_next_one_works() -> None:
    done = run_python(
        """
        import asyncio, resource
        engine = vf.Engine(threads=1)
        engine.register(vf.Op("double", "1", run=lambda calls: [2 * call["x"] for call in calls]))

        async def refused():
            # The loop has its descriptors; that of its completions can't be made.
            least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))), most))
            for make in (lambda: vf.Engine(threads=1), lambda: engine.acall("double", x=1)):
                try:
                    make()
                except vf.errors.ResourceExhaustedError as error:
                    print(error)
            print(engine.call("double", x=4))
            resource.setrlimit(resource.RLIMIT_NOFILE, (least, most))
            print(await engine.acall("double", x=1))

        asyncio.run(refused())
        with vf.Engine(threads=1) as other:
            print(len(other.ops) > 0)
        engine.close()
        """
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert all("descriptor" in line and "ulimit -n" in line for line in lines[:2]), done.stdout
    assert lines[2:] == ["8", "2", "True"]
    assert done.stderr == ""


@not_under_asan
def test_an_image_without_memory_is_a_typed_error_and_the_engine_goes_on() -> None:
    done = run_python(
        """
        import resource
        from pathlib import Path
        import numpy as np
        small = vf.Image.from_array(np.zeros((32, 32, 3), np.uint8))
        with vf.Engine(threads=2) as engine:
            engine.call("image.resize", small, size=(64, 64))
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20), resource.RLIM_INFINITY))
            calls = [{"image": small, "size": (13000 + x, 13000)} for x in range(8)]
            for done in engine.submit_many("image.resize", calls):
                assert isinstance(done.error, vf.errors.ResourceExhaustedError), done
                assert "no memory" in str(done.error), done.error
            try:
                engine.call("image.preprocess", small, min_pixels=10**8, max_pixels=10**8 + 10**6)
            except vf.errors.ResourceExhaustedError as error:
                print("refused")
            print(engine.call("image.resize", small, size=(16, 16)).width)
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "refused\n16\n", "")
