"""Which libraries can run networks here, and which one opens a model file."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from vista_fast.errors import InvalidArgumentError, MissingExtraError
from vista_fast.models.backend.model import Model, Precision
from vista_fast.models.backend.onnxruntime import OnnxRuntimeModel
from vista_fast.models.backend.openvino import OpenVinoModel, openvino_core

Device: TypeAlias = Literal["cpu", "cuda"]

SETTING = "VISTA_FAST_BACKEND"
"""The environment variable that names the backend where none is given."""

_BACKENDS: dict[str, Callable[..., Model]] = {"openvino": OpenVinoModel, "onnxruntime": OnnxRuntimeModel}
"""Fastest on CPUs first."""


class Backend(Protocol):
    """A library that runs networks."""

    def __call__(self, path: Path, *, threads: int, precision: Precision, device: Device = "cpu") -> Model:
        """Load the model file at ``path`` to run on ``threads`` threads.

        Raises:
            NotFoundError: there is no such file.
            InvalidArgumentError: it can't be loaded, or the library does not run it on that device or so precisely.
        """
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
    """The names of the backends whose library is installed: the one that is set by VISTA_FAST_BACKEND first, then the
    fastest on CPUs."""
    names = [name for name in _BACKENDS if find_spec(name) is not None]
    chosen = os.environ.get(SETTING)
    return tuple(sorted(names, key=lambda name: name != chosen))


def open_model(
    path: Path,
    *,
    backend: str | None = None,
    threads: int | None = None,
    precision: Precision = "f32",
    device: Device = "cpu",
) -> Model:
    """Open an ONNX file, or one in ONNX Runtime's own format (``.ort``), which only that library reads.

    Args:
        path: the file.
        backend: name of the library; default: the one that VISTA_FAST_BACKEND names, else the fastest that is
            installed and can do it.
        threads: default: all usable cores.
        precision: of the arithmetic inside.
        device: where it runs; "cuda" needs the build of ONNX Runtime for it.

    Raises:
        InvalidArgumentError: no such backend, or the file can't be loaded.
        MissingExtraError: no library is installed that can do it.
        NotFoundError: there is no such file.
    """
    if backend is None:
        backend = os.environ.get(SETTING) or next(iter(available_backends()), "openvino")
        if path.suffix == ".ort" or device == "cuda":
            backend = "onnxruntime"
    return find_backend(backend)(path, threads=threads or usable_cores(), precision=precision, device=device)


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def native_precision() -> Precision:
    """The fastest precision that this CPU computes in by itself, under OpenVINO."""
    if find_spec("openvino") is None:
        return "f32"
    able = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if "BF16" in able else "f32"
