"""Masks of one size resized to many, and compared with a threshold, in one Triton launch. See ``tiles``."""

# Triton reads a kernel's annotations as its language, so kernels carry none for mypy.
# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from typing import Any

import torch

from .calls import MaskResize, RaggedMasks
from .tiles import (
    Blocks,
    check_device,
    end_tap,
    filter_weight,
    first_tap,
    launch,
    most_tiles,
    table,
    tl,
    triton,
    tuned,
)

__all__ = ["Blocks", "mask_resize"]


@triton.jit(do_not_specialize=["grow"])
def _mask_resize(
    out,  # uint8 [pixels], 0 or 1
    scores,  # [masks, height, width]
    masks,  # int64 [masks, 3]: output height, output width, first pixel
    height,
    width,
    stride_n,
    stride_y,
    stride_x,
    threshold,
    grow,  # only the key of the tuning
    BLOCK_Y: tl.constexpr,
    BLOCK_X: tl.constexpr,
    TAPS_Y: tl.constexpr,
    TAPS_X: tl.constexpr,
):
    tile = tl.program_id(0)
    row = tl.program_id(1)
    size_y = tl.load(masks + row * 3).to(tl.int32)
    size_x = tl.load(masks + row * 3 + 1).to(tl.int32)
    tiles_x = tl.cdiv(size_x, BLOCK_X)
    if tile >= tl.cdiv(size_y, BLOCK_Y) * tiles_x:
        return
    first_i = (tile // tiles_x) * BLOCK_Y
    first_j = (tile % tiles_x) * BLOCK_X
    i = first_i + tl.arange(0, BLOCK_Y)
    j = first_j + tl.arange(0, BLOCK_X)
    y_begin = first_tap(first_i, height, size_y, 1)
    y_end = end_tap(tl.minimum(first_i + BLOCK_Y, size_y) - 1, height, size_y, 1)
    x_begin = first_tap(first_j, width, size_x, 1)
    x_end = end_tap(tl.minimum(first_j + BLOCK_X, size_x) - 1, width, size_x, 1)
    corner = scores + row.to(tl.int64) * stride_n

    total = tl.zeros((BLOCK_Y, BLOCK_X), tl.float32)
    down_sum = tl.zeros((BLOCK_Y,), tl.float32)
    for y_chunk in range(y_begin, y_end, TAPS_Y):
        y = y_chunk + tl.arange(0, TAPS_Y)
        down = filter_weight(y[None, :], i[:, None], height, size_y, False)
        down = tl.where(y[None, :] < y_end, down, 0.0)
        down_sum += tl.sum(down, 1)
        lines = tl.zeros((TAPS_Y, BLOCK_X), tl.float32)
        across_sum = tl.zeros((BLOCK_X,), tl.float32)
        for x_chunk in range(x_begin, x_end, TAPS_X):
            x = x_chunk + tl.arange(0, TAPS_X)
            across = filter_weight(x[:, None], j[None, :], width, size_x, False)
            across = tl.where(x[:, None] < x_end, across, 0.0)
            across_sum += tl.sum(across, 0)
            sample = corner + y[:, None].to(tl.int64) * stride_y + x[None, :].to(tl.int64) * stride_x
            inside = (y[:, None] < y_end) & (x[None, :] < x_end)
            score = tl.load(sample, mask=inside, other=0).to(tl.float32)
            lines += tl.dot(score, across, input_precision="tf32x3")
        # Outputs past the edge may see no sample at all; they are never stored.
        across_scale = 1.0 / tl.where(j < size_x, across_sum, 1.0)
        total += tl.dot(down, lines * across_scale[None, :], input_precision="tf32x3")
    down_scale = 1.0 / tl.where(i < size_y, down_sum, 1.0)

    target = out + tl.load(masks + row * 3 + 2) + i[:, None].to(tl.int64) * size_x + j[None, :]
    inside = (i[:, None] < size_y) & (j[None, :] < size_x)
    tl.store(target, (total * down_scale[:, None] > threshold).to(tl.uint8), mask=inside)


_tuned = tuned(_mask_resize, ["height", "width", "grow"])


def mask_resize(call: MaskResize, *, blocks: Blocks | None = None) -> RaggedMasks:
    """Runs ``call`` in one launch. Returns the masks, packed, on the device of the scores; ``blocks`` as for
    ``crop_resize_normalise``.

    Raises InvalidArgumentError when the scores lie on the CPU and Triton's interpreter is not chosen.
    """
    device = call.scores.device
    check_device(call.scores, "the scores")
    sizes = tuple((height, width) for height, width in call.sizes.tolist())
    values = torch.empty(sum(height * width for height, width in sizes), dtype=torch.uint8, device=device)
    if sizes:
        height, width = call.scores.shape[1:]
        grow = max(max(tall // height, wide // width) for tall, wide in sizes)

        def grid(meta: dict[str, Any]) -> tuple[int, int]:
            return (most_tiles(sizes, meta["BLOCK_Y"], meta["BLOCK_X"]), len(sizes))

        launch(
            _mask_resize,
            _tuned,
            grid,
            (blocks or Blocks()).constants,
            tune=blocks is None,
            out=values,
            scores=call.scores,
            masks=table([*call.sizes.unbind(1), call.offsets], device),
            height=height,
            width=width,
            **{f"stride_{axis}": step for axis, step in zip("nyx", call.scores.stride(), strict=True)},
            threshold=float(call.threshold),
            grow=grow.bit_length(),
        )
    return RaggedMasks(values.view(torch.bool), call.offsets, call.sizes)
