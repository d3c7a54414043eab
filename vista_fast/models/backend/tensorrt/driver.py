"""What the CUDA driver does and torch does not offer: a stream of one's own, and graphs that touch nothing else.

torch hands the same 32 streams round; and while it captures a graph, its random generators refuse every other thread
that draws numbers on that device, which a policy does all the time.

No part of this file has run on a GPU in this project's tests, which have none; see ``lane``.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from vista_fast.errors import OpError

if TYPE_CHECKING:
    import torch

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING: work on the default stream does not wait for it
_OUT_OF_MEMORY = 2  # CUDA_ERROR_OUT_OF_MEMORY
_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may allocate meanwhile


def own_stream(device: int) -> torch.cuda.ExternalStream:
    """A new stream of the device. It lives as long as the process, because torch's allocator may know memory by it.

    Raises:
        OpError: the driver makes none.
    """
    import torch

    handle = ctypes.c_void_p()
    with torch.cuda.device(device):
        # The first call of a thread is what makes the device's context its own, which the driver asks for.
        torch.cuda.current_stream().query()
        _demand(_driver().cuStreamCreate(ctypes.byref(handle), _NON_BLOCKING), "a stream")
    return torch.cuda.ExternalStream(handle.value, device=device)  # type: ignore[no-untyped-call]


class Graph:
    """Work that was put on a stream once, and goes there again in one step."""

    def __init__(self, stream: int, work: Callable[[], None]) -> None:
        """Captures what ``work`` puts on the stream, and runs none of it. torch must not know the stream: its allocator
        would ask how far it has come, which a stream that captures does not say.

        Raises:
            OpError: it can't be captured: it waits for the device, for one.
            Exception: what ``work`` raises.
        """
        self._ready = ctypes.c_void_p()
        driver, graph = _driver(), ctypes.c_void_p()
        _demand(driver.cuStreamBeginCapture_v2(stream, _THREAD_LOCAL), "to capture")
        try:
            try:
                work()
            finally:
                # Whatever happened, or the stream would go on capturing.
                ended = driver.cuStreamEndCapture(stream, ctypes.byref(graph))
            _demand(ended, "what was captured")
            _demand(driver.cuGraphInstantiateWithFlags(ctypes.byref(self._ready), graph, 0), "the graph")
        finally:
            if graph:
                driver.cuGraphDestroy(graph)

    def launch(self, stream: int) -> None:
        """Puts the work on a stream.

        Raises:
            MemoryError: the device has no room for it.
            OpError: the driver refuses it.
        """
        _demand(_driver().cuGraphLaunch(self._ready, stream), "to launch a graph")

    def __del__(self) -> None:
        # One that still runs goes when it has run.
        if self._ready:
            _driver().cuGraphExecDestroy(self._ready)


@functools.cache
def _driver() -> Any:
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise OpError(f"the CUDA driver does not load ({error}); `nvidia-smi` says whether it is installed") from error
    pointer, number = ctypes.c_void_p, ctypes.c_uint
    for name, types in {
        "cuStreamCreate": [pointer, number],
        "cuStreamBeginCapture_v2": [pointer, number],
        "cuStreamEndCapture": [pointer, pointer],
        "cuGraphInstantiateWithFlags": [pointer, pointer, ctypes.c_ulonglong],
        "cuGraphLaunch": [pointer, pointer],
        "cuGraphDestroy": [pointer],
        "cuGraphExecDestroy": [pointer],
        "cuGetErrorName": [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p)],
    }.items():
        getattr(library, name).argtypes = types
    return library


def _demand(status: int, what: str) -> None:
    if status == 0:
        return
    name = ctypes.c_char_p()
    _driver().cuGetErrorName(status, ctypes.byref(name))
    failure = MemoryError if status == _OUT_OF_MEMORY else OpError
    raise failure(f"the CUDA driver refuses {what}: {(name.value or b'error').decode()} ({status})")
