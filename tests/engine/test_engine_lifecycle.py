from __future__ import annotations

import asyncio
import gc
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from engine_gate import WAIT, Gate
from engine_process import not_under_asan, run_python

import vista_fast as vf
from vista_fast import errors
from vista_fast.engine.futures import CallFuture
from vista_fast.engine.many import ManyCalls


def engine_with_gate() -> tuple[vf.Engine, Gate]:
    engine, gate = vf.Engine(threads=1), Gate()
    engine.register(vf.Op("gate", "1", policy=vf.BatchPolicy(max_batch=1), run=gate))
    return engine, gate


def test_closing_completes_what_was_accepted() -> None:
    engine, gate = engine_with_gate()
    futures = [engine.submit("gate", x=x) for x in range(5)]
    gate.opened.set()
    engine.close()
    assert [future.result(0) for future in futures] == list(range(5))
    engine.close()


def test_a_closed_engine_refuses_calls() -> None:
    engine, gate = engine_with_gate()
    gate.opened.set()
    engine.close()
    for call in (engine.submit, engine.call):
        with pytest.raises(errors.EngineClosedError, match="closed"):
            call("gate", x=1)
    with pytest.raises(errors.EngineClosedError, match="closed"):
        engine.submit_many("gate", [{"x": 1}])


def test_a_closed_engine_refuses_calls_whose_arguments_are_wrong() -> None:
    """Nothing would bring their error back."""
    engine = vf.Engine()
    engine.close()
    with pytest.raises(errors.EngineClosedError, match="closed"):
        engine.submit("image.zoom", image=3)

    async def acall() -> None:
        await asyncio.wait_for(engine.acall("image.zoom", box=(0, 0, 1)), WAIT)

    with pytest.raises(errors.EngineClosedError, match="closed"):
        asyncio.run(acall())


def test_closing_in_time_abandons_a_puller_that_never_returns() -> None:
    engine, gate = engine_with_gate()
    futures = [engine.submit("gate", x=x) for x in range(3)]
    assert gate.started.wait(WAIT)
    engine.close(timeout=0.01)
    for future in futures:
        with pytest.raises(errors.AbortedError, match="closed"):
            future.result(0)
    gate.opened.set()


def test_leaving_the_block_by_an_error_does_not_wait() -> None:
    engine, gate = engine_with_gate()
    futures = []

    def fail_inside() -> None:
        with engine:
            futures.append(engine.submit("gate", x=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert isinstance(futures[0].exception(0), errors.AbortedError)
    gate.opened.set()


def test_no_thread_is_left_behind() -> None:
    before = set(threading.enumerate())
    with vf.Engine(threads=2) as engine:
        engine.register(vf.Op("double", "1", run=lambda calls: [2 * call["x"] for call in calls], concurrency=3))
        assert engine.call("double", x=2) == 4
        assert len(set(threading.enumerate()) - before) == 4
    assert set(threading.enumerate()) <= before


def test_an_engine_that_is_dropped_closes() -> None:
    before = set(threading.enumerate())
    engine, gate = engine_with_gate()
    gate.opened.set()
    assert engine.call("gate", x=1) == 1
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None
    assert set(threading.enumerate()) <= before


def test_the_interpreter_exits_with_work_in_flight() -> None:
    done = run_python(
        """
        started = threading.Event()
        def run(calls):
            started.set()
            threading.Event().wait()
        engine = vf.Engine(threads=1)
        engine.register(vf.Op("hangs", "1", run=run))
        futures = [engine.submit("hangs", x=x) for x in range(3)]
        many = engine.submit_many("hangs", [{"x": 9}])
        started.wait()
        print("leaving")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


def test_the_interpreter_exits_while_calls_complete() -> None:
    done = run_python(
        """
        import asyncio
        engine = vf.Engine(threads=2)
        engine.register(vf.Op("double", "1", run=lambda calls: [2 * call["x"] for call in calls]))
        async def main():
            return [engine.acall("double", x=x) for x in range(100)]
        futures = asyncio.run(main())
        plain = [engine.submit("double", x=x) for x in range(100, 1000)]
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_ctrl_c_interrupts_a_blocking_call() -> None:
    done = run_python(
        """
        started = threading.Event()
        def run(calls):
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait()
        with vf.Engine(threads=1) as engine:
            engine.register(vf.Op("hangs", "1", run=run))
            try:
                engine.call("hangs", x=1)
            except KeyboardInterrupt:
                print("interrupted", engine.stats()["ops"]["hangs"]["cancelled"])
                engine.close(timeout=0)
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted 1\n", "")


def test_ctrl_c_while_closing_closes_at_once() -> None:
    done = run_python(
        """
        started = threading.Event()
        def run(calls):
            started.set()
            threading.Event().wait()
        engine = vf.Engine(threads=1)
        engine.register(vf.Op("hangs", "1", run=run))
        future = engine.submit("hangs", x=1)
        started.wait()
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            engine.close(timeout=50)
        except KeyboardInterrupt:
            names = [thread.name for thread in threading.enumerate()]
            print("interrupted", type(future.exception(5)).__name__, "vista-drain" in names)
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted AbortedError False\n", "")


def test_threads_that_can_not_be_started_are_a_typed_error() -> None:
    # Stacks of 1 GiB and room for two: what is refused is the third thread, and no smaller need of the first two.
    done = run_python(
        """
        import ctypes, resource
        from pathlib import Path
        libc, attributes = ctypes.CDLL(None), ctypes.create_string_buffer(256)
        assert libc.pthread_attr_init(attributes) == 0
        assert libc.pthread_attr_setstacksize(attributes, ctypes.c_size_t(1 << 30)) == 0
        assert libc.pthread_setattr_default_np(attributes) == 0
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        unlimited = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (used + (2816 << 20), unlimited[1]))
        for threads in (1000, 1):
            try:
                vf.Engine(threads)
            except vf.errors.ResourceExhaustedError as error:
                print(error)
        resource.setrlimit(resource.RLIMIT_AS, unlimited)
        masked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        with vf.Engine(threads=1):
            print(len(masked))
        """
    )
    assert (done.returncode, done.stderr) == (0, "")
    many, one, masked = done.stdout.splitlines()
    assert many.startswith("1000 worker threads could not be started")
    assert one.startswith("the thread that settles futures could not be started")
    assert masked == "0"


def refusals(engine: vf.Engine, future: CallFuture, many: ManyCalls) -> list[str]:
    async def acall() -> None:
        await engine.acall("image.resize", b"what has to be opened", size=(1, 1))

    uses: list[Callable[[], Any]] = [
        lambda: engine.call("gate", x=1),
        lambda: engine.submit("gate", x=1),
        lambda: asyncio.run(acall()),
        lambda: future.result(WAIT),
        lambda: many.result(WAIT),
    ]
    refused = []
    for use in uses:
        try:
            use()
        except errors.EngineClosedError as error:
            refused.append(str(error))
    return refused


def call_in_child(
    connection: multiprocessing.connection.Connection, engine: vf.Engine, future: CallFuture, many: ManyCalls
) -> None:
    seen: list[Any] = [*refusals(engine, future, many)]
    engine.close()
    with vf.Engine(threads=1) as own:
        own.register(vf.Op("double", "1", run=lambda calls: [2 * call["x"] for call in calls]))
        seen.append(own.call("double", x=2))
    del engine
    gc.collect()
    connection.send(seen)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_fork_the_engine_says_what_to_do() -> None:
    engine, gate = engine_with_gate()
    inside = engine.submit("gate", x=0)
    assert gate.started.wait(WAIT)
    many = engine.submit_many("gate", [{"x": 1}])
    here, there = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=call_in_child, args=(there, engine, inside, many))
    child.start()
    assert here.poll(WAIT), "the child must not hang"
    *refused, own = here.recv()
    child.join(WAIT)
    assert child.exitcode == 0
    assert len(refused) == 5
    assert "create an Engine after fork, or use spawn" in refused[0]
    assert set(refused) == {refused[0]}
    assert own == 4
    gate.opened.set()
    assert inside.result(WAIT) == 0, "the parent goes on"
    engine.close()


def test_the_child_of_a_fork_exits() -> None:
    done = run_python(
        """
        engine = vf.Engine(threads=1)
        engine.register(vf.Op("double", "1", run=lambda calls: [2 * call["x"] for call in calls]))
        futures = [engine.submit("double", x=x) for x in range(100)]
        child = os.fork()
        if child:
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), futures[-1].result())
        """
    )
    assert (done.returncode, done.stdout) == (0, "0 198\n"), done.stderr


def test_signals_reach_the_main_thread_only() -> None:
    with vf.Engine(threads=2):
        masks = {
            name: int(status.split("SigBlk:")[1].split()[0], 16)
            for name, status in thread_states()
            if name.startswith(("vista-worker", "vista-timer"))
        }
    assert set(masks) == {"vista-worker", "vista-timer"}
    assert all(mask >> (signal.SIGINT - 1) & 1 for mask in masks.values())


def thread_states() -> list[tuple[str, str]]:
    states = [(task / "status").read_text() for task in Path(f"/proc/{os.getpid()}/task").iterdir()]
    return [(status.split()[1], status) for status in states]


def test_importing_the_package_is_light() -> None:
    done = run_python(
        """
        vf.Engine, vf.parse_turn
        print(sorted({"torch", "transformers", "numpy", "PIL", "matplotlib"} & set(sys.modules)))
        """
    )
    assert done.stdout == "[]\n", done.stderr


@not_under_asan
def test_a_thousand_engines_leave_nothing_behind() -> None:
    done = run_python(
        """
        import asyncio, gc
        from pathlib import Path

        def status(name):
            lines = Path("/proc/self/status").read_text().splitlines()
            return next(int(line.split()[1]) for line in lines if line.startswith(name))

        def held():
            # The system may count a thread that was joined a little longer.
            threads = min((gc.collect(), status("Threads"))[1] for _ in range(20))
            return threads, len(list(Path("/proc/self/fd").iterdir())), status("VmRSS")

        async def use(engine):
            return await engine.acall("double", x=3)

        def some(count):
            for _ in range(count):
                with vf.Engine(threads=2) as engine:
                    engine.register(vf.Op("double", "1", run=lambda calls: [2 * call["x"] for call in calls]))
                    assert engine.submit("double", x=1).result() == 2
                    assert asyncio.run(use(engine)) == 6

        some(100)
        before = held()
        some(1000)
        after = held()
        print(after[0] - before[0], after[1] - before[1], after[2] - before[2] < 4096 or (before, after))
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 0 True\n", "")


@pytest.mark.parametrize("way", ["asyncio", "submit_many", "native", "threads"])
def test_the_interpreter_exits_in_the_middle(way: str) -> None:
    done = run_python(
        f"""
        import asyncio, numpy as np
        way = {way!r}
        """
        + """
        started = threading.Event()
        def run(calls):
            started.set()
            return [sum(range(1000 * call["x"])) for call in calls]
        engine = vf.Engine(threads=2)
        engine.register(vf.Op("work", "1", run=run, policy=vf.BatchPolicy(max_batch=4)))
        calls = [{"x": x} for x in range(2000)]
        if way == "asyncio":
            async def main():
                futures = [engine.acall("work", **call) for call in calls]
                await asyncio.to_thread(started.wait)
            asyncio.run(main())
        elif way == "submit_many":
            many = engine.submit_many("work", calls)
            started.wait()
        elif way == "native":
            image = vf.Image.from_array(np.zeros((500, 500, 3), np.uint8))
            many = engine.submit_many("image.resize", [{"image": image, "size": (900 + x, 900)} for x in range(300)])
        else:
            def ask():
                try:
                    for call in calls:
                        engine.call("work", **call)
                except (vf.errors.AbortedError, vf.errors.EngineClosedError):
                    pass  # what a thread is told whose engine closes under it
            for _ in range(3):
                threading.Thread(target=ask, daemon=True).start()
            started.wait()
        print("leaving")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")


def test_daemon_threads_inside_the_core_do_not_disturb_the_exit() -> None:
    done = run_python(
        """
        import numpy as np
        pixels = np.zeros((300, 300, 3), np.uint8)
        vf.Image.from_array(pixels)  # pybind11's first look at numpy gives up the GIL in a way of its own
        started = threading.Event()
        def hash_pictures():
            while True:  # most of the time without the GIL, or asking for it back
                vf.Image.from_array(pixels).hash
                started.set()
        for _ in range(4):
            threading.Thread(target=hash_pictures, daemon=True).start()
        started.wait()
        print("leaving")
        """
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "leaving\n", "")
