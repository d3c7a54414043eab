"""Which backend opens a network where none is named, and why: a pure function of what is here."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, TypeAlias

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


def how_to_install(name: str) -> str:
    """The command that brings a backend's library."""
    if name == "tensorrt":
        # Its package builds itself from the vendor's index, which an extra can't ask for.
        return "install it with: pip install tensorrt 'vista-fast[tensorrt]'"
    return f"install it with: pip install 'vista-fast[{EXTRAS[name]}]'"
