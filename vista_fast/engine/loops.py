"""Completion queues of asyncio loops: each loop has one, watched through its reader."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref

from vista_fast._core import CompletionQueue


class LoopQueues:
    """The queue of every loop that has called. A loop may be closed at any time; its queue goes with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queues: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, CompletionQueue]
        self._queues = weakref.WeakKeyDictionary()
        self._closed = False

    def of(self, loop: asyncio.AbstractEventLoop) -> CompletionQueue:
        """The loop's queue, made and watched on first use. Call it on that loop."""
        queue = self._queues.get(loop)
        if queue is None:
            queue = CompletionQueue()
            if self._closed:
                return queue
            loop.add_reader(queue.fileno(), queue.settle_on_loop)
            with self._lock:
                self._forget_closed_loops()
                self._queues[loop] = queue
        return queue

    def _forget_closed_loops(self) -> None:
        """What came back for them waits in their queues and holds them: no garbage collector sees that ring."""
        for loop in [each for each in self._queues if each.is_closed()]:
            self._queues.pop(loop).close()

    def close(self) -> None:
        """Lets every loop settle what has arrived, and stops watching. Call it from any thread."""
        with self._lock:
            self._closed = True
            queues = list(self._queues.items())
            self._queues = weakref.WeakKeyDictionary()
        for loop, queue in queues:
            # A closed loop raises, and its reader is gone with it.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_retire, loop, queue)


def _retire(loop: asyncio.AbstractEventLoop, queue: CompletionQueue) -> None:
    queue.settle_on_loop()
    loop.remove_reader(queue.fileno())
    queue.close()
