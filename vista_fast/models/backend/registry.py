"""Which libraries can run networks here, and which one opens a model file."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from vista_fast.errors import InvalidArgumentError, MissingExtraError
from vista_fast.models.backend.choice import (
    RUNS_ON,
    SETTING,
    Device,
    candidates,
    check_choice,
    check_precision,
    choose,
    device_of,
    how_to_install,
)
from vista_fast.models.backend.model import Model, Precision
from vista_fast.models.backend.onnxruntime import OnnxRuntimeModel, check_provider
from vista_fast.models.backend.openvino import OpenVinoModel, openvino_core
from vista_fast.models.backend.profile import Profile
from vista_fast.models.backend.tensorrt import TensorRtModel
from vista_fast.models.backend.tensorrt.library import MODULES, load_library
from vista_fast.models.backend.tensorrt.target import multiplies_in_f32, target_of
from vista_fast.models.backend.torch import TorchModel, torch_device

_BACKENDS: dict[str, Callable[..., Model]] = {
    "openvino": OpenVinoModel,
    "onnxruntime": OnnxRuntimeModel,
    "tensorrt": functools.partial(TensorRtModel, library="tensorrt"),
    "tensorrt_rtx": functools.partial(TensorRtModel, library="tensorrt_rtx"),
    "torch": TorchModel,
}


class Backend(Protocol):
    """A library that runs networks."""

    def __call__(self, path: Path, *, threads: int, precision: Precision, device: Device = ...) -> Model:
        """Load the model file at ``path`` to run on ``threads`` threads.

        Those of TensorRT take ``profiles=`` too: the shapes that calls have.

        Raises:
            NotFoundError: there is no such file.
            InvalidArgumentError: it can't be loaded, or the library does not run it on that device or so precisely.
        """
        ...


def find_backend(name: str) -> Backend:
    """Return the backend of that name.

    "openvino" is the fastest on CPUs, "tensorrt" and "tensorrt_rtx" on GPUs; "onnxruntime" runs on both, and so does
    "torch", which opens its own files only.

    Raises:
        InvalidArgumentError: no backend has that name.
        MissingExtraError: its library is not installed.
    """
    if name not in _BACKENDS:
        raise InvalidArgumentError(f"unknown backend {name!r}; choose one of {', '.join(sorted(_BACKENDS))}")
    if not is_installed(name):
        raise MissingExtraError(f"backend {name!r} needs the package {name}; {how_to_install(name)}")
    return _BACKENDS[name]


def is_installed(name: str) -> bool:
    """Whether the library of a backend is here; imports nothing."""
    return any(find_spec(module) is not None for module in MODULES.get(name, (name,)))


def available_backends(device: Device = "cpu") -> tuple[str, ...]:
    """The names of the backends that open ONNX files on a device and whose library is installed: the one that
    VISTA_FAST_BACKEND names first, be it of another device, then the fastest.

    Raises:
        InvalidArgumentError: VISTA_FAST_BACKEND names no backend.
        MissingExtraError: the library of the one that it names is not installed.
    """
    names = [name for name in candidates(device) if is_installed(name)]
    chosen = os.environ.get(SETTING)
    if not chosen:
        return tuple(names)
    find_backend(chosen)
    return (chosen, *(name for name in names if name != chosen))


def open_model(
    path: Path,
    *,
    backend: str | None = None,
    threads: int | None = None,
    precision: Precision = "f32",
    device: Device | None = None,
    profiles: Sequence[Profile] = (),
    logits: bool = False,
) -> Model:
    """Open an ONNX file, one in ONNX Runtime's own format (``.ort``), or a program of torch (``.pt``, ``.pt2``).

    Args:
        path: the file.
        backend: name of the library; default: the one that VISTA_FAST_BACKEND names, else the fastest that is
            installed and can do it: on the CPU OpenVINO, on a GPU TensorRT, else ONNX Runtime.
        threads: default: all usable cores.
        precision: of the arithmetic inside.
        device: where it runs; default: the CPU, and "cuda" for a backend that knows no other.
        profiles: the shapes that calls have, for TensorRT, which needs them where shapes vary. Others ignore them.
        logits: OpenVINO gives what comes before a network's last softmax. Others ignore it; ``Classifier`` takes both.

    Raises:
        InvalidArgumentError: no such backend, or the file can't be loaded.
        MissingExtraError: no library is installed that can do it.
        NotFoundError: there is no such file.
    """
    backend = backend or chosen_backend(device, suffix=path.suffix)
    load: Callable[..., Model] = find_backend(backend)
    more: dict[str, object] = {"logits": logits} if backend == "openvino" else {}
    if backend in MODULES:
        more["profiles"] = profiles
    return load(path, threads=threads or usable_cores(), precision=precision, device=device_of(backend, device), **more)


def chosen_backend(
    device: Device | None = None, *, suffix: str = ".onnx", without_torch: bool = False, on_cpu: str | None = None
) -> str:
    """The name of the backend for a file of that ending where none is named: without more, what ``open_model`` takes.

    ``without_torch`` passes over VISTA_FAST_BACKEND where it names torch, which opens files of its own only. ``on_cpu``
    is the fastest on the CPU for a certain network, and taken there where it is installed and the variable names none.

    Raises:
        InvalidArgumentError: VISTA_FAST_BACKEND names no backend.
        MissingExtraError: the library of the one that it names is not installed.
    """
    setting = os.environ.get(SETTING)
    if without_torch and setting == "torch":
        setting = None
    if on_cpu is not None and device != "cuda" and not setting and is_installed(on_cpu):
        return on_cpu
    asks_gpu = device == "cuda" and not setting and suffix == ".onnx"
    installed = [name for name in RUNS_ON if is_installed(name) and (not asks_gpu or _runs_on_this_gpu(name))]
    name = choose(installed, device=device or "cpu", suffix=suffix, setting=setting, gpu=has_gpu()).name
    if name == setting:
        find_backend(name)
    return name


def check_backend(name: str, device: Device | None = None, precision: Precision = "f32", *, opens: str = "") -> None:
    """That a backend can run networks here, on the device or, where none is given, on its own; loads none. ``opens``
    says what it is to open, where that is an ONNX file.

    Raises:
        InvalidArgumentError: no backend has that name, or it does not run on that device here, or not in that
            precision, or does not open such files.
        MissingExtraError: its library is not installed.
    """
    find_backend(name)
    check_choice(name, device, opens=opens)
    check_precision(name, precision)
    if device_of(name, device) == "cpu":
        return
    if name == "torch":
        torch_device("cuda")
    elif name in MODULES:
        target_of(load_library(name), None)
    else:
        check_provider("cuda")
        if not _sees_gpu():
            raise InvalidArgumentError(
                "device 'cuda' is asked for, and this process may use no NVIDIA GPU; choose device 'cpu', or see "
                "whether nvidia-smi shows one and CUDA_VISIBLE_DEVICES hides none"
            )


def _sees_gpu() -> bool:
    """Torch is asked where the driver has no device files, as in WSL."""
    if has_gpu():
        return True
    try:
        import torch
    except ImportError:
        return False
    return torch.cuda.is_available()


def _runs_on_this_gpu(name: str) -> bool:
    """False for a library of TensorRT that does not load, or that does not run every network in f32 on the GPU here."""
    if name not in MODULES or not has_gpu():
        return True
    try:
        library = load_library(name)
        return multiplies_in_f32(library, target_of(library, None))
    except (InvalidArgumentError, MissingExtraError, OSError, RuntimeError):
        return False


def has_gpu() -> bool:
    """Whether this process may use an NVIDIA GPU, by the driver's device files; loads nothing."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    return any(Path("/dev").glob("nvidia[0-9]*"))


def usable_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def native_precision() -> Precision:
    """The fastest precision that this CPU computes in by itself, in the backend that is chosen: OpenVINO alone has more
    than one. Raises as ``chosen_backend`` does."""
    if chosen_backend("cpu") != "openvino" or not is_installed("openvino"):
        return "f32"
    able = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "bf16" if "BF16" in able else "f32"
