"""What the Ops of every network share: loading it with the first call, running it, registering with an engine once."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from vista_fast.errors import AbortedError, InvalidArgumentError, ResourceExhaustedError, VistaError

if TYPE_CHECKING:
    from vista_fast.engine import BatchFunction, Engine

Loaded = TypeVar("Loaded")
Config = TypeVar("Config")


class LoadedOnce(Generic[Loaded]):
    """Networks that are loaded by whichever Op runs first.

    That they can't be loaded says nothing about the call that came first: it is aborted, and the next one tries again.
    They are loaded on the GPU that is torch's current one when this is made, where torch is at work with GPUs: the
    threads that run Ops all begin with the first.
    """

    def __init__(self, what: str, load: Callable[[], Loaded]) -> None:
        """``what`` names the networks in the message."""
        self._what = what
        self._load = load
        self._lock = threading.Lock()
        self._loaded: Loaded | None = None
        self._gpu = current_gpu()

    def get(self) -> Loaded:
        """The networks. Raises AbortedError when they can't be loaded."""
        with self._lock:
            if self._loaded is None:
                try:
                    with self._gpu:
                        self._loaded = self._load()
                except Exception as error:
                    raise AbortedError(
                        f"the networks of {self._what} could not be loaded ({error}); "
                        "`vista-fast doctor` says what is installed"
                    ) from error
            return self._loaded


def current_gpu() -> AbstractContextManager[object]:
    """Within it the GPU is current that is so now, for the thread that enters it."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return nullcontext()
    gpu: AbstractContextManager[object] = torch.cuda.device(torch.cuda.current_device())
    return gpu


def on_device(device: str, run: BatchFunction) -> BatchFunction:
    """``run`` of an Op whose networks run on that device.

    A GPU may be a trainer's too: that it has no memory left, or fails, says nothing about a call, which is aborted.
    What is wrong with the call itself is told as ever.
    """
    if device == "cpu":
        return run

    def run_on_gpu(calls: list[dict[str, Any]]) -> Sequence[Any]:
        try:
            return run(calls)
        except ResourceExhaustedError as error:
            raise AbortedError(f"the GPU has too little free memory for a call: {error}") from error
        except VistaError:
            raise
        except Exception as error:  # the libraries have many classes
            raise AbortedError(
                f"a network failed on the GPU ({type(error).__name__}: {error}); see whether nvidia-smi shows the GPU "
                "as well, and restart the program if it does"
            ) from error

    return run_on_gpu


class RegisteredOnce(Generic[Config]):
    """Which engines have certain Ops already, and with which settings."""

    def __init__(self, what: str) -> None:
        """``what`` the Ops do, for the message: "segments images"."""
        self._what = what
        self._configs: weakref.WeakKeyDictionary[Engine, Config] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def register(self, engine: Engine, config: Config, add: Callable[[], None]) -> None:
        """Calls ``add`` unless the engine has the Ops with an equal config.

        Raises:
            InvalidArgumentError: it has them with another config.
        """
        with self._lock:
            if engine not in self._configs:
                add()
                self._configs[engine] = config
            elif self._configs[engine] != config:
                raise InvalidArgumentError(
                    f"this engine already {self._what} with {self._configs[engine]}; make another Engine for {config}"
                )
