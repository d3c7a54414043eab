"""Crop, antialiased resize, normalise and patchify for a ragged batch, straight to Qwen-VL's ``pixel_values``.

Each row has an output size of its own. See ``tiles``.
"""

# Triton reads a kernel's annotations as its language, so kernels carry none for mypy.
# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from typing import Any

import torch

from .calls import CropPatchify
from .crop_resize import channel_arguments
from .ragged import SUPPORT
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

__all__ = ["Blocks", "crop_resize_patchify"]


@triton.jit
def _store_channel(out, channel, value, target, inside, PATCH: tl.constexpr, TEMPORAL: tl.constexpr):
    for t in tl.static_range(TEMPORAL):
        place = target + (channel * TEMPORAL + t) * (PATCH * PATCH)
        tl.store(place, value.to(out.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["shrink"])
def _crop_resize_patchify(
    out,  # [patches, 3 * TEMPORAL * PATCH * PATCH]
    pixels,  # uint8 [bytes]
    crops,  # int64 [rows, 10], see RaggedImages.crops
    shrink,  # only the key of the tuning
    scale_r,
    scale_g,
    scale_b,
    shift_r,
    shift_g,
    shift_b,
    PATCH: tl.constexpr,
    MERGE: tl.constexpr,
    TEMPORAL: tl.constexpr,
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
    patch_y = i // PATCH
    patch_x = j // PATCH
    # Patches that the model merges lie together: (rows / MERGE, columns / MERGE, MERGE, MERGE).
    group = (patch_y // MERGE) * (tl.load(crops + row * 10 + 9) // MERGE) + patch_x // MERGE
    patch = tl.load(crops + row * 10 + 8) + (group * MERGE + patch_y % MERGE) * MERGE + patch_x % MERGE
    within = (i % PATCH) * PATCH + j % PATCH
    target = out + patch * (3 * TEMPORAL * PATCH * PATCH) + within
    _store_channel(out, 0, red * scale_r + shift_r, target, inside, PATCH, TEMPORAL)
    _store_channel(out, 1, green * scale_g + shift_g, target, inside, PATCH, TEMPORAL)
    _store_channel(out, 2, blue * scale_b + shift_b, target, inside, PATCH, TEMPORAL)


_tuned = tuned(_crop_resize_patchify, ["shrink", "SUPPORT", "PATCH"])


def crop_resize_patchify(
    call: CropPatchify, *, out: torch.Tensor | None = None, blocks: Blocks | None = None
) -> torch.Tensor:
    """Runs ``call`` in one launch. Returns [patches, 3 * temporal_patch_size * patch_size**2] of ``call.dtype``, the
    patches of one row after those of the row before (``call.grid_thw`` tells how many), on the device of the pixels.

    ``out`` and ``blocks`` as for ``crop_resize_normalise``; the tuning is by filter, patch size and shrink factor.

    Raises InvalidArgumentError when ``out`` or the device does not fit.
    """
    device = call.images.pixels.device
    check_device(call.images.pixels, "the pixels")
    out = output(out, call.out_shape, call.dtype, device)
    if not len(call.rows):
        return out
    rows = call.table
    shrink = int((rows[:, [2, 5]] // rows[:, [3, 6]]).max())
    sizes = tile_sizes(rows)

    def grid(meta: dict[str, Any]) -> tuple[int, int]:
        return (most_tiles(sizes, meta["BLOCK_Y"], meta["BLOCK_X"]), len(call.rows))

    launch(
        _crop_resize_patchify,
        _tuned,
        grid,
        (blocks or Blocks()).constants,
        tune=blocks is None,
        out=out,
        pixels=call.images.pixels,
        crops=on_device(torch.from_numpy(rows), device),
        shrink=shrink.bit_length(),
        **channel_arguments(call),
        PATCH=call.patch_size,
        MERGE=call.merge_size,
        TEMPORAL=call.temporal_patch_size,
        SUPPORT=SUPPORT[call.filter],
        ROUND=call.rounded,
    )
    return out
