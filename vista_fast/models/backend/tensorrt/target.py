"""The GPU that an engine is for, by its compute capability: "sm89" is 8.9."""

from __future__ import annotations

import re

from vista_fast.errors import InvalidArgumentError, MissingExtraError
from vista_fast.models.backend.tensorrt.library import Library


def target_of(library: Library, wanted: str | None) -> str:
    """The target to build for: ``wanted``, or this machine's GPU.

    Raises:
        InvalidArgumentError: the library builds for no such target, or none is named and there is no GPU.
        MissingExtraError: none is named and torch, which finds the GPU, is not installed.
    """
    target = present_gpu(library.name) if wanted is None else wanted
    offered = offered_targets(library)
    if offered is None:
        here = present_gpu(library.name)
        if target != here:
            raise InvalidArgumentError(
                f"tensorrt builds for the GPU of this machine only ({here}), got target {target!r}; leave it out, or "
                "build ahead of time with tensorrt_rtx"
            )
    elif target not in offered:
        raise InvalidArgumentError(
            f"{library.name} {library.version} does not run on {target!r}, only on {', '.join(offered)}; use tensorrt "
            "or onnxruntime for that GPU"
        )
    return target


def multiplies_in_f32(library: Library, target: str) -> bool:
    """Whether the library has products of matrices in f32 on the target: tensorrt_rtx has none on a Turing GPU."""
    return (library.name, target) != ("tensorrt_rtx", "sm75")


def hardware_of(library: Library) -> str:
    """The model of this machine's GPU where the library's engines run on that one only; else ""."""
    if offered_targets(library) is not None:
        return ""
    import torch

    here = torch.cuda.get_device_properties(torch.cuda.current_device())
    return f"{here.name}, {here.multi_processor_count} multiprocessors"


def offered_targets(library: Library) -> tuple[str, ...] | None:
    """The targets that the library builds for ahead of time; None where it builds for the GPU at hand only."""
    known = getattr(library.api, "ComputeCapability", None)
    if known is None:
        return None
    return tuple(name.lower() for name in known.__members__ if re.fullmatch(r"SM\d+", name))


def present_gpu(backend: str) -> str:
    """The compute capability of the GPU that torch uses, as a target.

    Raises:
        InvalidArgumentError: torch sees no GPU.
        MissingExtraError: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(
            f"backend {backend!r} keeps its tensors on the GPU with torch; install a build of torch for CUDA"
        ) from error
    if not torch.cuda.is_available():
        raise InvalidArgumentError(
            f"backend {backend!r} runs on a GPU, and torch sees none here; choose backend 'openvino' or 'onnxruntime'"
        )
    major, minor = torch.cuda.get_device_capability()
    return f"sm{major}{minor}"
