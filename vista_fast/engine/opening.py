"""Encoded images of calls that an event loop makes: read and decoded beside the loop, which goes on meanwhile."""

from __future__ import annotations

import concurrent.futures
import contextlib
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from vista_fast.errors import EngineClosedError, ResourceExhaustedError

if TYPE_CHECKING:
    from vista_fast._core import Image
    from vista_fast.engine.futures import LoopFuture
    from vista_fast.types import ImageSource

IMAGE_HASH = re.compile(r"[0-9a-f]{32}")

Submit = Callable[["Image", float], int]
"""Submits a call with its opened image, so many seconds after it was made, and gives the number of its Request."""


def is_encoded(source: object) -> TypeGuard[str | bytes | Path]:
    """Whether a source has to be read or decoded: a path, encoded bytes, a data URL; not the hash of a held Image."""
    if isinstance(source, str):
        return IMAGE_HASH.fullmatch(source) is None
    return isinstance(source, bytes | bytearray | memoryview | Path)


class LoopOpeners:
    """Threads that open images for loops; started when first needed."""

    def __init__(self, open_image: Callable[[Any], Image], threads: int) -> None:
        self._open = open_image
        self._closed = False
        self._pool = concurrent.futures.ThreadPoolExecutor(threads, "vista-opener")

    def submit_when_open(self, future: LoopFuture, source: ImageSource, submit: Submit) -> None:
        """Opens the source, then submits on the future's loop. What goes wrong is the future's exception."""
        loop = future.get_loop()
        made = time.monotonic()

        def opened(opening: concurrent.futures.Future[Image]) -> None:
            # A loop that was closed meanwhile raises; nobody waits for the future then.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_go_on, future, opening, submit, made)

        try:
            opening = self._pool.submit(self._open, source)
        except RuntimeError as error:
            if self._closed:
                raise EngineClosedError("the engine is closed; create another Engine") from error
            raise ResourceExhaustedError(
                f"a thread that opens images could not be started ({error}); open them with Engine.image, or raise the "
                "limits of this process"
            ) from error
        opening.add_done_callback(opened)

    def close(self) -> None:
        """What is being opened is opened to its end, and its calls find the engine closed."""
        self._closed = True
        self._pool.shutdown(wait=False)


def _go_on(future: LoopFuture, opening: concurrent.futures.Future[Image], submit: Submit, made: float) -> None:
    if future.done():
        return
    try:
        future._request = submit(opening.result(), time.monotonic() - made)
    except Exception as error:
        future.set_exception(error)


def left_of(seconds: float | None, waited: float) -> float | None:
    """A time from when the call was made as one from now."""
    return None if seconds is None else max(0.0, seconds - waited)
