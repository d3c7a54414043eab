"""The CUDA C++ variants of ``crop_resize`` and ``crop_patchify`` (csrc/cuda), called through their C interface.

They do in two passes through shared memory what the Triton kernels do with matrix products over zero-padded bands, so
that they read each sample a few times and multiply only by weights that are not zero. No GPU was at hand when they were
written: their arithmetic is tested on the CPU (tests/cpp/cuda), their speed is for ``scripts/gpu_check.sh`` to show.

The library is built with ``-DVISTA_CUDA=ON`` (``pip install --config-settings=cmake.define.VISTA_CUDA=ON .``) and lies
in the package; VISTA_FAST_CUDA_LIBRARY names another file.
"""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path
from typing import Any

import torch

from vista_fast.errors import InvalidArgumentError, MissingExtraError, OpError

from .calls import CropPatchify
from .ragged import CropResize

SETTING = "VISTA_FAST_CUDA_LIBRARY"
"""The environment variable with the library's path."""

_TYPES = {torch.float32: 0, torch.float16: 1, torch.bfloat16: 2}
_INVALID_ARGUMENT = 1


def library_path() -> Path | None:
    """Where the library lies, or None where it was not built."""
    given = os.environ.get(SETTING)
    path = Path(given) if given else Path(__file__).resolve().parent.parent / "_cuda.so"
    return path if path.is_file() else None


def crop_resize_normalise(call: CropResize, *, out: torch.Tensor | None = None) -> torch.Tensor:
    """As ``crop_resize.crop_resize_normalise``, on the current stream of the pixels' device.

    Raises InvalidArgumentError when the pixels are not on a CUDA device or ``out`` does not fit, MissingExtraError when
    the library was not built, and OpError when CUDA refuses the launch.
    """
    zeros = torch.zeros(len(call.rows), dtype=torch.int64)
    return _launch(call, out, call.sizes, [zeros, zeros], None)


def crop_resize_patchify(call: CropPatchify, *, out: torch.Tensor | None = None) -> torch.Tensor:
    """As ``crop_patchify.crop_resize_patchify``; streams and errors as for ``crop_resize_normalise``."""
    patches = (call.patch_size, call.merge_size, call.temporal_patch_size)
    return _launch(call, out, call.sizes, [call.first_patches, call.grid_thw[:, 2]], patches)


def _launch(
    call: CropResize | CropPatchify,
    out: torch.Tensor | None,
    sizes: torch.Tensor,
    columns: list[torch.Tensor],
    patches: tuple[int, int, int] | None,
) -> torch.Tensor:
    pixels = call.images.pixels
    if pixels.device.type != "cuda":
        raise InvalidArgumentError(f"the pixels lie on {pixels.device}; move them with RaggedImages.to('cuda')")
    function = _function()
    if out is None:
        out = torch.empty(call.out_shape, dtype=call.dtype, device=pixels.device)
    elif (out.shape, out.dtype, out.device) != (call.out_shape, call.dtype, pixels.device) or not out.is_contiguous():
        raise InvalidArgumentError(
            f"out is {out.dtype} {list(out.shape)} on {out.device}; pass a contiguous {call.dtype} tensor "
            f"{list(call.out_shape)} on {pixels.device}"
        )
    rows = torch.stack([*call.images.crops(call.rows, call.boxes, sizes, call.rounded), *columns], 1).contiguous()
    with torch.cuda.device(pixels.device):
        device_rows = rows.pin_memory().to(pixels.device, non_blocking=True)
        message = ctypes.create_string_buffer(500)
        status = function(
            pixels.data_ptr(),
            rows.data_ptr(),
            device_rows.data_ptr(),
            len(rows),
            0 if patches is None else 1,
            (ctypes.c_int * 3)(*(patches or (1, 1, 1))),
            call.filter == "bicubic",
            call.rounded,
            (ctypes.c_float * 3)(*call.scale),
            (ctypes.c_float * 3)(*call.shift),
            _TYPES[call.dtype],
            out.data_ptr(),
            torch.cuda.current_stream().cuda_stream,
            message,
            len(message),
        )
    if status:
        error = InvalidArgumentError if status == _INVALID_ARGUMENT else OpError
        raise error(message.value.decode(errors="replace"))
    return out


@functools.cache
def _function() -> Any:
    path = library_path()
    if path is None:
        raise MissingExtraError(
            "the CUDA kernels of vista_fast were not built; install with "
            "--config-settings=cmake.define.VISTA_CUDA=ON (needs nvcc), or use vista_fast.kernels.crop_patchify"
        )
    function = ctypes.CDLL(str(path)).vista_crop_resize
    pointer, number = ctypes.c_void_p, ctypes.c_int
    types: list[Any] = [pointer] * 3 + [number] * 2 + [pointer, number, number, pointer, pointer, number]
    function.argtypes = [*types, pointer, pointer, ctypes.c_char_p, ctypes.c_size_t]
    function.restype = number
    return function
