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
from .tiles import Blocks, check_device, launch, most_tiles, output, resized_tile, table, tile_sizes, tl, triton, tuned

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
    crops,  # int64 [rows, 8], see RaggedImages.crops
    patches,  # int64 [rows, 2]: first patch, patches across
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
        pixels, crops + row * 8, tl.program_id(0), SUPPORT, ROUND, BLOCK_Y, BLOCK_X, TAPS_Y, TAPS_X
    )
    patch_y = i // PATCH
    patch_x = j // PATCH
    # Patches that the model merges lie together: (rows / MERGE, columns / MERGE, MERGE, MERGE).
    group = (patch_y // MERGE) * (tl.load(patches + row * 2 + 1) // MERGE) + patch_x // MERGE
    patch = tl.load(patches + row * 2) + (group * MERGE + patch_y % MERGE) * MERGE + patch_x % MERGE
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
    columns = call.images.crops(call.rows, call.boxes, call.sizes, call.rounded)
    shrink = int(max((columns[2] // columns[3]).max(), (columns[5] // columns[6]).max()))

    sizes = tile_sizes(columns)

    def grid(meta: dict[str, Any]) -> tuple[int, int]:
        return (most_tiles(sizes, meta["BLOCK_Y"], meta["BLOCK_X"]), len(call.rows))

    launch(
        _crop_resize_patchify,
        _tuned,
        grid,
        blocks,
        out=out,
        pixels=call.images.pixels,
        crops=table(columns, device),
        patches=table([call.first_patches, call.grid_thw[:, 2]], device),
        shrink=shrink.bit_length(),
        **channel_arguments(call),
        PATCH=call.patch_size,
        MERGE=call.merge_size,
        TEMPORAL=call.temporal_patch_size,
        SUPPORT=SUPPORT[call.filter],
        ROUND=call.rounded,
    )
    return out
