"""The library behind the backend: ``tensorrt``, or ``tensorrt_rtx``, which has the same Python API."""

from __future__ import annotations

import functools
import threading
from collections import deque
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from vista_fast.errors import InvalidArgumentError, MissingExtraError, OpError
from vista_fast.models.backend.choice import how_to_install
from vista_fast.out_of_memory import says_no_memory

if TYPE_CHECKING:
    import tensorrt as trt

LibraryName: TypeAlias = Literal["tensorrt", "tensorrt_rtx"]

MODULES: dict[str, tuple[str, ...]] = {
    "tensorrt": ("tensorrt",),
    "tensorrt_rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings"),
}
"""The modules by which each may be installed: the vendor's own package, or its bindings alone."""

_LONGEST = 400
"""Characters of a message that are kept: some list a whole network."""


@dataclass(frozen=True, slots=True)
class Library:
    """A loaded library.

    Attributes:
        name: "tensorrt" or "tensorrt_rtx".
        version: as the library says.
        api: its module. Untyped: objects made with it are annotated with the classes of ``tensorrt``.
        log: takes the library's messages.
    """

    name: LibraryName
    version: str
    api: Any
    log: Log

    @property
    def logger(self) -> trt.ILogger:
        """What its Builder, OnnxParser and Runtime take as logger."""
        return self.log.sink

    def failure(self, what: str) -> Exception:
        """The error that the library refuses ``what``, with what it told last: MemoryError where the device has too
        little memory, else OpError."""
        reason = self.log.take()
        return (MemoryError if says_no_memory(reason) else OpError)(f"{self.name} refuses {what}: {reason}")


class Log:
    """The last errors that the library has told; they say why it answered None or False."""

    def __init__(self, api: Any) -> None:
        told: deque[str] = deque(maxlen=8)
        lock = threading.Lock()
        failures = (api.ILogger.Severity.INTERNAL_ERROR, api.ILogger.Severity.ERROR)

        class Sink(api.ILogger):  # type: ignore[misc]  # the class is known at run time only
            def __init__(self) -> None:
                api.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                if severity in failures:
                    with lock:
                        told.append(message[:_LONGEST])

        self.sink: trt.ILogger = Sink()
        self._told = told
        self._lock = lock

    def take(self) -> str:
        """What was told since the last time, as one line."""
        with self._lock:
            told = "; ".join(self._told)
            self._told.clear()
        return told or "the library gives no reason"


def is_installed(name: str) -> bool:
    """Whether the library of that name is installed; imports nothing."""
    return any(find_spec(module) is not None for module in MODULES[name])


@functools.cache
def load_library(name: LibraryName) -> Library:
    """Import the library, once.

    Raises:
        InvalidArgumentError: no library has that name.
        MissingExtraError: it is not installed, or its shared libraries are not here.
    """
    if name not in MODULES:
        raise InvalidArgumentError(f"unknown library {name!r}; choose one of {', '.join(sorted(MODULES))}")
    present = [module for module in MODULES[name] if find_spec(module) is not None]
    if not present:
        raise MissingExtraError(f"backend {name!r} needs the package {name}; {how_to_install(name)}")
    try:
        api = import_module(present[0])
    except ImportError as error:
        raise MissingExtraError(f"backend {name!r} does not load ({error}); {how_to_install(name)}") from error
    return Library(name, str(api.__version__), api, Log(api))


def sizes(dims: trt.Dims) -> tuple[int, ...]:
    """The sizes of a shape of the library's; -1 for one that may vary."""
    return tuple(int(dims[at]) for at in range(len(dims)))
