"""LoopThread: coroutines for callers without an event loop."""

import asyncio
import signal
import threading
from typing import Any

import pytest

from vista_fast.envs.loop import LoopThread


def test_results_and_exceptions_come_back() -> None:
    loop = LoopThread()

    async def divide(a: float, b: float) -> float:
        await asyncio.sleep(0)
        return a / b

    assert loop.run(divide(6, 3)) == 2.0
    with pytest.raises(ZeroDivisionError):
        loop.run(divide(6, 0))
    loop.close()


def test_all_runs_share_one_loop_until_it_is_closed() -> None:
    loop = LoopThread()

    async def running() -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    first = loop.run(running())
    assert loop.run(running()) is first
    loop.close()
    loop.close()
    assert first.is_closed()
    assert loop.run(running()) is not first
    loop.close()


def test_an_interrupt_cancels_what_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = LoopThread()
    waits, cancelled = threading.Event(), threading.Event()
    main = threading.get_ident()
    submit = asyncio.run_coroutine_threadsafe

    def announcing(*arguments: Any) -> Any:
        future = submit(*arguments)
        result = future.result

        def wait_for_it() -> Any:
            waits.set()
            return result()

        monkeypatch.setattr(future, "result", wait_for_it)
        return future

    monkeypatch.setattr(asyncio, "run_coroutine_threadsafe", announcing)

    async def wait() -> None:
        try:
            while not waits.is_set():
                await asyncio.sleep(0)  # until the caller waits for the result
            signal.pthread_kill(main, signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(KeyboardInterrupt):
        loop.run(wait())
    assert cancelled.wait(timeout=10)
    loop.close()
