"""Crop, antialiased resize and normalise for a ragged batch of images, in one Triton launch.

Nothing but the output is written. See ``tiles``.
"""

# Triton reads a kernel's annotations as its language, so kernels carry none for mypy.
# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from typing import Any

import torch

from .ragged import SUPPORT, CropResize
from .tiles import (
    Blocks,
    check_device,
    launch,
    most_tiles,
    on_device,
    output,
    resized_tile,
    tile_sizes,
    tl,
    triton,
    tuned,
)

__all__ = ["Blocks", "crop_resize_normalise"]


@triton.jit
def _crop_resize_normalise(
    out,  # [rows, 3, size_y, size_x]
    pixels,  # uint8 [bytes]
    crops,  # int64 [rows, 10], see RaggedImages.crops
    size_y,
    size_x,
    scale_r,
    scale_g,
    scale_b,
    shift_r,
    shift_g,
    shift_b,
    SUPPORT: tl.constexpr,
    ROUND: tl.constexpr,
    BLOCK_Y: tl.constexpr,
    BLOCK_X: tl.constexpr,
    TAPS_Y: tl.constexpr,
    TAPS_X: tl.constexpr,
):
    row = tl.program_id(1)
    red, green, blue, i, j, inside = resized_tile(
        pixels, crops + row * 10, tl.program_id(0), SUPPORT, ROUND, BLOCK_Y, BLOCK_X, TAPS_Y, TAPS_X
    )
    plane = size_y * size_x
    target = out + row.to(tl.int64) * 3 * plane + i * size_x + j
    tl.store(target, (red * scale_r + shift_r).to(out.dtype.element_ty), mask=inside)
    tl.store(target + plane, (green * scale_g + shift_g).to(out.dtype.element_ty), mask=inside)
    tl.store(target + 2 * plane, (blue * scale_b + shift_b).to(out.dtype.element_ty), mask=inside)


_tuned = tuned(_crop_resize_normalise, ["size_y", "size_x", "SUPPORT"])


def crop_resize_normalise(
    call: CropResize, *, out: torch.Tensor | None = None, blocks: Blocks | None = None
) -> torch.Tensor:
    """Runs ``call`` in one launch. Returns [N, 3, height, width] of ``call.dtype`` on the device of the pixels.

    ``out`` (contiguous, of that shape, dtype and device) is written instead of a new tensor. ``blocks`` fixes the
    tile sizes; by default the first launch of each output size and filter measures seven choices and keeps the best,
    for later processes too. Works on CPU tensors only under Triton's interpreter (TRITON_INTERPRET=1 before the
    import).

    Raises InvalidArgumentError when ``out`` or the device does not fit.
    """
    device = call.images.pixels.device
    check_device(call.images.pixels, "the pixels")
    out = output(out, call.out_shape, call.dtype, device)
    if not len(call.rows):
        return out
    rows = call.table
    sizes = tile_sizes(rows)

    def grid(meta: dict[str, Any]) -> tuple[int, int]:
        return (most_tiles(sizes, meta["BLOCK_Y"], meta["BLOCK_X"]), len(call.rows))

    launch(
        _crop_resize_normalise,
        _tuned,
        grid,
        (blocks or Blocks()).constants,
        tune=blocks is None,
        out=out,
        pixels=call.images.pixels,
        crops=on_device(torch.from_numpy(rows), device),
        size_y=call.size[0],
        size_x=call.size[1],
        **channel_arguments(call),
        SUPPORT=SUPPORT[call.filter],
        ROUND=call.rounded,
    )
    return out


def channel_arguments(call: Any) -> dict[str, float]:
    """``call``'s normalisation as a kernel's arguments."""
    scale = {f"scale_{channel}": value for channel, value in zip("rgb", call.scale, strict=True)}
    return scale | {f"shift_{channel}": value for channel, value in zip("rgb", call.shift, strict=True)}
