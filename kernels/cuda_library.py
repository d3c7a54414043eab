"""The CUDA C++ variants of ``crop_resize`` and ``crop_patchify`` (csrc/cuda), called through their C interface.

Both passes of a resize are products on tensor cores, as in the Triton kernels, but the sums of the first stay in
registers for the second, lines are on their way from memory while others are worked on, and whole patches are written
without gaps. Patches of regions that are enlarged or shrunk little are made by a warp each, and others by a block of
threads together; at most 256 regions go into a launch. ``scripts/gpu_check.sh`` compares and times both variants.
Rollouts call them through the native Op ``cuda.preprocess`` (``vista_fast.devices.register_preprocess``), from the
threads of the engine.

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
    return _launch(call, out, None)


def crop_resize_patchify(call: CropPatchify, *, out: torch.Tensor | None = None) -> torch.Tensor:
    """As ``crop_patchify.crop_resize_patchify``; streams and errors as for ``crop_resize_normalise``."""
    return _launch(call, out, (call.patch_size, call.merge_size, call.temporal_patch_size))


def _launch(
    call: CropResize | CropPatchify, out: torch.Tensor | None, patches: tuple[int, int, int] | None
) -> torch.Tensor:
    pixels = call.images.pixels
    if pixels.device.type != "cuda":
        raise InvalidArgumentError(f"the pixels lie on {pixels.device}; move them with RaggedImages.to('cuda')")
    library = _library()
    if out is None:
        out = torch.empty(call.out_shape, dtype=call.dtype, device=pixels.device)
    elif (out.shape, out.dtype, out.device) != (call.out_shape, call.dtype, pixels.device) or not out.is_contiguous():
        raise InvalidArgumentError(
            f"out is {out.dtype} {list(out.shape)} on {out.device}; pass a contiguous {call.dtype} tensor "
            f"{list(call.out_shape)} on {pixels.device}"
        )
    offsets, pitches = _on_host(call.images.offsets), _on_host(call.images.line_bytes, torch.int32)
    rows, boxes, sizes = (_on_host(tensor) for tensor in (call.rows, call.boxes, call.sizes))
    plan = torch.empty(len(rows) * library.planned_row_bytes, dtype=torch.uint8)
    batch = _Batch(
        pixels=pixels.data_ptr(),
        image_offsets=offsets.data_ptr(),
        image_pitches=pitches.data_ptr(),
        row_images=rows.data_ptr(),
        boxes=boxes.data_ptr(),
        sizes=sizes.data_ptr(),
        plan=plan.data_ptr(),
        row_count=len(rows),
        layout=0 if patches is None else 1,
        patches=_Three(*(patches or (1, 1, 1))),
        bicubic=call.filter == "bicubic",
        rounded=call.rounded,
        scale=_Channels(*call.scale),
        shift=_Channels(*call.shift),
        type=_TYPES[call.dtype],
        out=out.data_ptr(),
    )
    library.plan(batch, plan.data_ptr())
    with torch.cuda.device(pixels.device):
        library.launch(batch, torch.cuda.current_stream().cuda_stream)
    return out


def _on_host(tensor: torch.Tensor, dtype: torch.dtype = torch.int64) -> torch.Tensor:
    return tensor.to("cpu", dtype).contiguous()


_Three = ctypes.c_int * 3
_Channels = ctypes.c_float * 3


class _Batch(ctypes.Structure):
    """CropResizeBatch of csrc/cuda/crop_resize.h, member by member."""

    _fields_ = (
        ("pixels", ctypes.c_void_p),
        ("image_offsets", ctypes.c_void_p),
        ("image_pitches", ctypes.c_void_p),
        ("row_images", ctypes.c_void_p),
        ("boxes", ctypes.c_void_p),
        ("sizes", ctypes.c_void_p),
        ("row_outputs", ctypes.c_void_p),
        ("plan", ctypes.c_void_p),
        ("row_count", ctypes.c_int),
        ("layout", ctypes.c_int),
        ("patches", _Three),
        ("bicubic", ctypes.c_bool),
        ("rounded", ctypes.c_bool),
        ("scale", _Channels),
        ("shift", _Channels),
        ("type", ctypes.c_int),
        ("out", ctypes.c_void_p),
    )


class _Library:
    """The loaded file. Its functions raise InvalidArgumentError for a batch that makes no sense, and OpError when CUDA
    refuses."""

    def __init__(self, path: Path) -> None:
        try:
            loaded = ctypes.CDLL(str(path))
            loaded.vista_planned_row_bytes.restype = ctypes.c_size_t
        except (OSError, AttributeError) as error:
            raise MissingExtraError(
                f"{path} is not the library of this version's CUDA kernels ({error}); build it again, or leave "
                f"{SETTING} unset"
            ) from error
        self.planned_row_bytes: int = loaded.vista_planned_row_bytes()
        """Bytes of the plan of one row."""
        self._plan = loaded.vista_plan_crop_resize
        self._launch = loaded.vista_launch_crop_resize
        for function in (self._plan, self._launch):
            pointer = ctypes.c_void_p
            function.argtypes = [ctypes.POINTER(_Batch), pointer, ctypes.c_char_p, ctypes.c_size_t]
            function.restype = ctypes.c_int

    def plan(self, batch: _Batch, plan: int) -> None:
        """Writes the plan of the batch's rows to the address ``plan``."""
        self._call(self._plan, batch, plan)

    def launch(self, batch: _Batch, stream: int) -> None:
        """Enqueues the batch on a stream of CUDA."""
        self._call(self._launch, batch, stream)

    def _call(self, function: Any, batch: _Batch, argument: int) -> None:
        message = ctypes.create_string_buffer(500)
        status = function(ctypes.byref(batch), argument, message, len(message))
        if status:
            error = InvalidArgumentError if status == _INVALID_ARGUMENT else OpError
            raise error(message.value.decode(errors="replace"))


@functools.cache
def _library() -> _Library:
    path = library_path()
    if path is None:
        raise MissingExtraError(
            "the CUDA kernels of vista_fast were not built; install with "
            "--config-settings=cmake.define.VISTA_CUDA=ON (needs nvcc), or use vista_fast.kernels.crop_patchify"
        )
    return _Library(path)
