"""Crop, antialiased resize and normalise for a ragged batch of images, in one Triton launch.

A resize is two small matrix products, ``down @ crop @ across.T`` (see ``reference``), whose matrices are zero outside
a narrow band. One program computes one output tile of one row: it walks over the part of the crop that the tile can
see in chunks, makes the chunk's weights in registers, and multiplies from both sides. Nothing but the output is
written, and the tiles of all rows, whatever their crops' sizes, form one grid.
"""

# Triton reads a kernel's annotations as its language, so kernels carry none for mypy.
# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from vista_fast.errors import InvalidArgumentError, MissingExtraError

from .ragged import SUPPORT, CropResize

try:
    import triton
    import triton.language as tl
except ImportError as error:
    raise MissingExtraError(
        f"vista_fast.kernels.crop_resize needs Triton ({error}); pip install 'vista-fast[gpu]', or use "
        "vista_fast.kernels.reference, which needs torch alone"
    ) from error


@dataclass(frozen=True, slots=True)
class Blocks:
    """Tile sizes, powers of two of at least 16: ``height`` x ``width`` outputs per program, and ``taps_y`` x
    ``taps_x`` crop samples per chunk."""

    height: int = 16
    width: int = 32
    taps_y: int = 32
    taps_x: int = 64

    def __post_init__(self) -> None:
        for side in (self.height, self.width, self.taps_y, self.taps_x):
            if side < 16 or side & (side - 1):
                raise InvalidArgumentError(f"{self} has a side of {side}; use powers of two of at least 16")


@triton.jit
def _distance(x, i, length, size):
    """Distance of sample x from the centre of output i in units of the stretched filter; one rounding."""
    return (size * (2 * x + 1) - length * (2 * i + 1)).to(tl.float32) / (2 * tl.maximum(length, size)).to(tl.float32)


@triton.jit
def _filter_value(distance, BICUBIC: tl.constexpr):
    distance = tl.abs(distance)
    if BICUBIC:
        near = (1.5 * distance - 2.5) * distance * distance + 1
        far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
        value = tl.where(distance < 1, near, tl.where(distance < 2, far, 0.0))
    else:
        value = tl.maximum(1 - distance, 0.0)
    return value


@triton.jit
def _first_tap(i, length, size, SUPPORT: tl.constexpr):
    """The first sample that output i can see."""
    reach = length * (2 * i + 1) - 2 * SUPPORT * tl.maximum(length, size)
    return tl.maximum(reach, 0) // (2 * size)


@triton.jit
def _end_tap(i, length, size, SUPPORT: tl.constexpr):
    """One past the last sample that output i can see."""
    reach = length * (2 * i + 1) + 2 * SUPPORT * tl.maximum(length, size)
    return tl.minimum(reach // (2 * size) + 1, length)


@triton.jit
def _crop_resize_normalise(
    out,  # [rows, 3, size_y, size_x]
    pixels,  # uint8 [bytes]
    offsets,  # int64 [rows]: first byte of the row's image
    widths,  # int32 [rows]: width of the row's image
    boxes,  # int32 [rows, 4]
    size_y,
    size_x,
    scale_r,
    scale_g,
    scale_b,
    shift_r,
    shift_g,
    shift_b,
    SUPPORT: tl.constexpr,
    BLOCK_Y: tl.constexpr,
    BLOCK_X: tl.constexpr,
    TAPS_Y: tl.constexpr,
    TAPS_X: tl.constexpr,
):
    tiles_x = tl.cdiv(size_x, BLOCK_X)
    tiles = tl.cdiv(size_y, BLOCK_Y) * tiles_x
    row = tl.program_id(0) // tiles
    tile = tl.program_id(0) % tiles
    first_i = (tile // tiles_x) * BLOCK_Y
    first_j = (tile % tiles_x) * BLOCK_X
    i = first_i + tl.arange(0, BLOCK_Y)
    j = first_j + tl.arange(0, BLOCK_X)

    left = tl.load(boxes + row * 4)
    top = tl.load(boxes + row * 4 + 1)
    crop_width = tl.load(boxes + row * 4 + 2) - left
    crop_height = tl.load(boxes + row * 4 + 3) - top
    width = tl.load(widths + row)
    corner = pixels + tl.load(offsets + row) + (top * width + left) * 3

    y_begin = _first_tap(first_i, crop_height, size_y, SUPPORT)
    y_end = _end_tap(tl.minimum(first_i + BLOCK_Y, size_y) - 1, crop_height, size_y, SUPPORT)
    x_begin = _first_tap(first_j, crop_width, size_x, SUPPORT)
    x_end = _end_tap(tl.minimum(first_j + BLOCK_X, size_x) - 1, crop_width, size_x, SUPPORT)

    red = tl.zeros((BLOCK_Y, BLOCK_X), tl.float32)
    green = tl.zeros((BLOCK_Y, BLOCK_X), tl.float32)
    blue = tl.zeros((BLOCK_Y, BLOCK_X), tl.float32)
    down_sum = tl.zeros((BLOCK_Y,), tl.float32)
    for y_chunk in range(y_begin, y_end, TAPS_Y):
        y = y_chunk + tl.arange(0, TAPS_Y)
        down = _filter_value(_distance(y[None, :], i[:, None], crop_height, size_y), SUPPORT == 2)
        down = tl.where(y[None, :] < y_end, down, 0.0)
        down_sum += tl.sum(down, 1)

        red_lines = tl.zeros((TAPS_Y, BLOCK_X), tl.float32)
        green_lines = tl.zeros((TAPS_Y, BLOCK_X), tl.float32)
        blue_lines = tl.zeros((TAPS_Y, BLOCK_X), tl.float32)
        across_sum = tl.zeros((BLOCK_X,), tl.float32)
        for x_chunk in range(x_begin, x_end, TAPS_X):
            x = x_chunk + tl.arange(0, TAPS_X)
            across = _filter_value(_distance(x[:, None], j[None, :], crop_width, size_x), SUPPORT == 2)
            across = tl.where(x[:, None] < x_end, across, 0.0)
            across_sum += tl.sum(across, 0)
            sample = corner + (y[:, None] * width + x[None, :]) * 3
            inside = (y[:, None] < y_end) & (x[None, :] < x_end)
            # IEEE products: TF32 would round the weights to 11 bits and move the result by up to 0.1 of a grey level.
            r = tl.load(sample, mask=inside, other=0).to(tl.float32)
            red_lines += tl.dot(r, across, input_precision="ieee")
            g = tl.load(sample + 1, mask=inside, other=0).to(tl.float32)
            green_lines += tl.dot(g, across, input_precision="ieee")
            b = tl.load(sample + 2, mask=inside, other=0).to(tl.float32)
            blue_lines += tl.dot(b, across, input_precision="ieee")
        # Outputs past the edge may see no sample at all; they are never stored.
        across_sum = tl.where(j < size_x, across_sum, 1.0)
        red += tl.dot(down, red_lines / across_sum[None, :], input_precision="ieee")
        green += tl.dot(down, green_lines / across_sum[None, :], input_precision="ieee")
        blue += tl.dot(down, blue_lines / across_sum[None, :], input_precision="ieee")

    down_sum = tl.where(i < size_y, down_sum, 1.0)
    plane = size_y * size_x
    target = out + row.to(tl.int64) * 3 * plane + i[:, None] * size_x + j[None, :]
    inside = (i[:, None] < size_y) & (j[None, :] < size_x)
    red = tl.minimum(tl.maximum(red / down_sum[:, None], 0.0), 255.0) * scale_r + shift_r
    green = tl.minimum(tl.maximum(green / down_sum[:, None], 0.0), 255.0) * scale_g + shift_g
    blue = tl.minimum(tl.maximum(blue / down_sum[:, None], 0.0), 255.0) * scale_b + shift_b
    tl.store(target, red.to(out.dtype.element_ty), mask=inside)
    tl.store(target + plane, green.to(out.dtype.element_ty), mask=inside)
    tl.store(target + 2 * plane, blue.to(out.dtype.element_ty), mask=inside)


def _configuration(height: int, width: int, taps_y: int, taps_x: int, warps: int) -> triton.Config:
    blocks = {"BLOCK_Y": height, "BLOCK_X": width, "TAPS_Y": taps_y, "TAPS_X": taps_x}
    return triton.Config(blocks, num_warps=warps)


_tuned = triton.autotune(
    configs=[
        _configuration(16, 16, 16, 32, 2),
        _configuration(16, 16, 32, 32, 4),
        _configuration(16, 32, 32, 32, 4),
        _configuration(16, 32, 32, 64, 4),
        _configuration(32, 32, 32, 32, 4),
        _configuration(32, 32, 32, 64, 8),
        _configuration(32, 64, 32, 32, 8),
    ],
    key=["size_y", "size_x", "SUPPORT"],
)(_crop_resize_normalise)

_INTERPRETED = not isinstance(_crop_resize_normalise, triton.JITFunction)


def crop_resize_normalise(
    call: CropResize, *, out: torch.Tensor | None = None, blocks: Blocks | None = None
) -> torch.Tensor:
    """Runs ``call`` in one launch. Returns [N, 3, height, width] of ``call.dtype`` on the device of the pixels.

    ``out`` (contiguous, of that shape, dtype and device) is written instead of a new tensor. ``blocks`` fixes the
    tile sizes; by default the first launch of each output size and filter measures seven choices and keeps the best.
    Works on CPU tensors only under Triton's interpreter (TRITON_INTERPRET=1 before the import).

    Raises InvalidArgumentError when ``out`` or the device does not fit.
    """
    device = call.images.pixels.device
    if device.type == "cpu" and not _INTERPRETED:
        raise InvalidArgumentError(
            "the pixels lie on the CPU, where Triton kernels do not run; move them with RaggedImages.to('cuda'), use "
            "vista_fast.kernels.reference, or set TRITON_INTERPRET=1 before the import to run the interpreter"
        )
    if out is None:
        out = torch.empty(call.out_shape, dtype=call.dtype, device=device)
    elif out.shape != call.out_shape or out.dtype != call.dtype or out.device != device or not out.is_contiguous():
        raise InvalidArgumentError(
            f"out is {out.dtype} {list(out.shape)} on {out.device}; pass a contiguous {call.dtype} tensor "
            f"{list(call.out_shape)} on {device}"
        )
    if not len(call.rows):
        return out

    rows = call.rows.to(call.images.shapes.device).long()
    offsets = call.images.offsets.to(rows.device)[rows].to(device)
    widths = call.images.shapes[rows, 1].contiguous().to(device)
    boxes = call.boxes.to(device, torch.int32).contiguous()
    size_y, size_x = call.size

    def grid(meta: dict[str, Any]) -> tuple[int]:
        return (len(rows) * triton.cdiv(size_y, meta["BLOCK_Y"]) * triton.cdiv(size_x, meta["BLOCK_X"]),)

    arguments = (out, call.images.pixels, offsets, widths, boxes, size_y, size_x, *call.scale, *call.shift)
    if blocks is None and _INTERPRETED:
        blocks = Blocks()
    if blocks is None:
        _tuned[grid](*arguments, SUPPORT=SUPPORT[call.filter])
    else:
        _crop_resize_normalise[grid](
            *arguments,
            SUPPORT=SUPPORT[call.filter],
            BLOCK_Y=blocks.height,
            BLOCK_X=blocks.width,
            TAPS_Y=blocks.taps_y,
            TAPS_X=blocks.taps_x,
        )
    return out
