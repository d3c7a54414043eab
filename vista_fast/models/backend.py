"""One interface over the libraries that run networks: load a model file, get a callable Session on numpy arrays."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from vista_fast.errors import InvalidArgumentError, MissingExtraError, NotFoundError, VistaError

Precision: TypeAlias = Literal["f32", "bf16"]
"""Arithmetic inside a network. f32 is exact to rounding; bf16 is faster on CPUs with AMX and moves the outputs."""

Array: TypeAlias = "npt.NDArray[np.float32]"


class Session(Protocol):
    """A loaded network with one input and one output, both float32, of any shape that the network accepts.

    Safe to call from several threads; each result owns its memory.
    """

    @property
    def metadata(self) -> Mapping[str, str]:
        """The strings that the model file carries beside its weights."""
        ...

    def __call__(self, batch: Array, /) -> Array: ...


class Backend(Protocol):
    """A library that runs networks."""

    def __call__(self, path: Path, *, threads: int, precision: Precision) -> Session:
        """Load the ONNX file at ``path`` to run on ``threads`` threads."""
        ...


def find_backend(name: str) -> Backend:
    """Return the backend of that name: "openvino" (fastest on CPU) or "onnxruntime".

    Raises:
        InvalidArgumentError: no backend has that name.
        MissingExtraError: its library is not installed.
    """
    if name not in _BACKENDS:
        raise InvalidArgumentError(f"unknown backend {name!r}; choose one of {', '.join(sorted(_BACKENDS))}")
    if find_spec(name) is None:
        raise MissingExtraError(
            f"backend {name!r} needs the package {name}; install it with: pip install 'vista-fast[ocr]'"
        )
    return _BACKENDS[name]


def available_backends() -> tuple[str, ...]:
    """The names of the backends whose library is installed, fastest on CPU first."""
    return tuple(name for name in _BACKENDS if find_spec(name) is not None)


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def native_precision() -> Precision:
    """The fastest precision that this CPU computes in by itself, under OpenVINO."""
    if find_spec("openvino") is None:
        return "f32"
    able = _openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if "BF16" in able else "f32"


_core_lock = threading.Lock()
_core: Any = None


def _openvino_core() -> Any:
    """The one OpenVINO core of the process, which is never let go of.

    Its CPU plugin gives the thread that loads it a signal stack and frees it with the core, on whatever thread that
    is: the next signal to the first thread (Ctrl-C) would then end the process with a segmentation fault.
    """
    global _core
    with _core_lock:
        if _core is None:
            import openvino

            _core = openvino.Core()
        return _core


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise NotFoundError(
            f"model file {path} does not exist; reinstall the package that ships it or correct the path"
        )
    return path


@contextmanager
def _unreadable(path: Path) -> Iterator[None]:
    """Turns a library's own error about a file that it can't load into a typed one."""
    try:
        yield
    except VistaError:
        raise
    except Exception as error:  # each library has its own classes
        raise InvalidArgumentError(f"{path} can't be loaded as an ONNX network: {error}") from error


class _OpenVinoSession:
    """A compiled OpenVINO model with one infer request per calling thread."""

    def __init__(self, path: Path, *, threads: int, precision: Precision) -> None:
        core = _openvino_core()
        with _unreadable(path):
            model = core.read_model(_existing(path))
        info = dict(model.get_rt_info().items())
        self.metadata: Mapping[str, str] = {key: str(entry.value) for key, entry in info.get("framework", {}).items()}
        # On a CPU with AMX the library's own default precision is bf16, which changes the text that comes out.
        self._model: Any = core.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": precision,
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._local = threading.local()

    def __call__(self, batch: Array, /) -> Array:
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._model.create_infer_request()
        request.infer([np.ascontiguousarray(batch)], share_inputs=True)
        output: Array = request.get_output_tensor().data.copy()
        return output


class _OnnxRuntimeSession:
    """An ONNX Runtime session on its CPU provider."""

    def __init__(self, path: Path, *, threads: int, precision: Precision) -> None:
        import onnxruntime

        if precision != "f32":
            raise InvalidArgumentError(
                f"onnxruntime on CPU runs f32 only, got precision {precision!r}; use openvino for it"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Idle threads that spin would take the cores that decoding needs meanwhile.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        with _unreadable(path):
            self._session: Any = onnxruntime.InferenceSession(
                str(_existing(path)), sess_options=options, providers=["CPUExecutionProvider"]
            )
        self.metadata: Mapping[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, batch: Array, /) -> Array:
        output: Array = self._session.run(None, {self._input: np.ascontiguousarray(batch)})[0]
        return output


_BACKENDS: dict[str, Callable[..., Session]] = {"openvino": _OpenVinoSession, "onnxruntime": _OnnxRuntimeSession}
