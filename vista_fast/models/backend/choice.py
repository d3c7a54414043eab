"""Which backend opens a network where none is named, and why: a pure function of what is here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend.model import Precision

Device: TypeAlias = Literal["cpu", "cuda"]
BackendName: TypeAlias = Literal["openvino", "onnxruntime", "tensorrt", "tensorrt_rtx", "torch"]
"""The libraries that run networks."""

SETTING = "VISTA_FAST_BACKEND"
"""The environment variable that names the backend where none is given."""

RUNS_ON: dict[str, tuple[Device, ...]] = {
    "openvino": ("cpu",),
    "tensorrt": ("cuda",),
    "tensorrt_rtx": ("cuda",),
    "onnxruntime": ("cpu", "cuda"),
    "torch": ("cpu", "cuda"),
}
"""Every backend and its devices; the fastest of a device first."""

RUNS_IN: dict[str, tuple[Precision, ...]] = {
    "openvino": ("f32", "bf16", "mixed"),
    "tensorrt": ("f32", "f16", "bf16"),
    "tensorrt_rtx": ("f32", "f16", "bf16"),
    "onnxruntime": ("f32",),
    "torch": ("f32", "f16", "bf16"),
}
"""Every backend and the precisions that it has."""

EXTRAS = {
    "openvino": "ocr",
    "onnxruntime": "ocr",
    "tensorrt": "tensorrt",
    "tensorrt_rtx": "tensorrt",
    "torch": "train",
}
"""The extra of vista-fast that brings each."""

_ONE_LIBRARY = {".ort": "onnxruntime", ".pt": "torch", ".pt2": "torch"}
"""Endings of files that one library alone reads; torch reads no others."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A backend's name, and why it was chosen."""

    name: str
    why: str


def choose(
    installed: Collection[str], *, device: Device = "cpu", suffix: str = ".onnx", setting: str | None = None, gpu: bool
) -> Chosen:
    """The backend for a network file.

    Args:
        installed: names of the backends whose library is here.
        device: where the network is to run.
        suffix: how the file's name ends.
        setting: the value of VISTA_FAST_BACKEND, None or "" where it is not set.
        gpu: whether the machine has an NVIDIA GPU.
    """
    if suffix in _ONE_LIBRARY:
        return Chosen(_ONE_LIBRARY[suffix], f"it alone reads {suffix} files")
    if setting:
        return Chosen(setting, f"{SETTING} names it")
    for name in candidates(device):
        if name in installed and (gpu or not name.startswith("tensorrt")):
            return Chosen(name, f"the fastest of those that are here and run on {device}")
    return Chosen("onnxruntime" if device == "cuda" else "openvino", f"nothing that is here runs on {device}")


def candidates(device: Device) -> tuple[str, ...]:
    """The backends that open ONNX files on a device, the fastest first."""
    return tuple(name for name, devices in RUNS_ON.items() if device in devices and name != "torch")


def check_choice(backend: str | None, device: str | None, *, opens: str = "") -> None:
    """That there are this backend and this device, and that the one runs on the other; None is any. ``opens`` says what
    the backend is to open, where that is an ONNX file.

    Raises InvalidArgumentError.
    """
    if opens and backend == "torch":
        raise InvalidArgumentError(
            f"backend 'torch' opens files of its own only, not {opens}; choose as backend or in {SETTING} one of "
            f"{', '.join(candidates('cpu'))} on the CPU, or one of {', '.join(candidates('cuda'))} on a GPU"
        )
    if backend is not None and backend not in RUNS_ON:
        known = ", ".join(get_args(BackendName))
        raise InvalidArgumentError(f"backend must be None or one of {known}, got {backend!r}")
    if device is not None and device not in get_args(Device):
        raise InvalidArgumentError(
            f"device must be None, 'cpu' or 'cuda', got {device!r}; of several GPUs 'cuda' is torch's current one"
        )
    if backend is not None and device is not None and device not in RUNS_ON[backend]:
        able = ", ".join(candidates("cpu" if device == "cpu" else "cuda"))
        raise InvalidArgumentError(
            f"backend {backend!r} does not run on device {device!r}; choose one of {able} as backend or in "
            f"{SETTING}, or {RUNS_ON[backend][0]!r} as device, which None takes too"
        )


def check_precision(backend: str | None, precision: str) -> None:
    """That there is this precision, and that the backend has it; None is any backend.

    Raises InvalidArgumentError.
    """
    known: tuple[str, ...] = get_args(Precision)
    if precision not in known:
        raise InvalidArgumentError(f"precision must be one of {', '.join(known)}, got {precision!r}")
    if backend is not None and precision not in RUNS_IN[backend]:
        able = ", ".join(name for name, has in RUNS_IN.items() if precision in has and name != "torch")
        raise InvalidArgumentError(
            f"backend {backend!r} runs {', '.join(RUNS_IN[backend])}, got precision {precision!r}; choose one of them, "
            f"or as backend or in {SETTING} one that has it: {able}"
        )


def device_of(backend: str, device: Device | None) -> Device:
    """Where a backend runs a network for which that device is asked: the CPU where none is, and "cuda" for a backend
    that knows no other."""
    return device or RUNS_ON[backend][0]


def how_to_install(name: str) -> str:
    """The command that brings a backend's library."""
    if name == "tensorrt":
        # Its package builds itself from the vendor's index, which an extra can't ask for.
        return "install it with: pip install tensorrt 'vista-fast[tensorrt]'"
    return f"install it with: pip install 'vista-fast[{EXTRAS[name]}]'"
