"""Outlines of boxes over a ragged batch of images, in one Triton launch.

A program copies a stretch of one image's pixels and paints, in order, those that lie on an outline.
"""

# Triton reads a kernel's annotations as its language, so kernels carry none for mypy.
# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

from typing import Any

import torch

from vista_fast.errors import InvalidArgumentError

from .calls import BoxOverlay
from .ragged import RaggedImages
from .tiles import check_device, launch, table, tl, triton, tuned


@triton.jit(do_not_specialize=["size"])
def _box_overlay(
    out,  # uint8 [bytes]
    pixels,  # uint8 [bytes]
    images,  # int64 [images, 7]: first byte, pitch, height, width, first byte of the copy, first outline, end of them
    outlines,  # int64 [outlines, 8]: left, top, right, bottom, width, red, green, blue
    size,  # only the key of the tuning
    BLOCK: tl.constexpr,
):
    image = images + tl.program_id(1) * 7
    width = tl.load(image + 3).to(tl.int32)
    count = tl.load(image + 2).to(tl.int32) * width
    first = tl.program_id(0) * BLOCK
    if first >= count:
        return
    pixel = first + tl.arange(0, BLOCK)
    inside = pixel < count
    y = pixel // width
    x = pixel % width
    source = pixels + tl.load(image) + y * tl.load(image + 1).to(tl.int32) + x * 3
    red = tl.load(source, mask=inside, other=0)
    green = tl.load(source + 1, mask=inside, other=0)
    blue = tl.load(source + 2, mask=inside, other=0)
    for number in range(tl.load(image + 5).to(tl.int32), tl.load(image + 6).to(tl.int32)):
        outline = outlines + number * 8
        left = tl.load(outline).to(tl.int32)
        top = tl.load(outline + 1).to(tl.int32)
        right = tl.load(outline + 2).to(tl.int32)
        bottom = tl.load(outline + 3).to(tl.int32)
        thick = tl.load(outline + 4).to(tl.int32)
        # Differences, because a sum of an edge and a width may leave int32.
        edge = (x - left < thick) | (right - x <= thick) | (y - top < thick) | (bottom - y <= thick)
        painted = edge & (x >= left) & (x < right) & (y >= top) & (y < bottom)
        red = tl.where(painted, tl.load(outline + 5).to(tl.uint8), red)
        green = tl.where(painted, tl.load(outline + 6).to(tl.uint8), green)
        blue = tl.where(painted, tl.load(outline + 7).to(tl.uint8), blue)
    target = out + tl.load(image + 4) + pixel * 3
    tl.store(target, red, mask=inside)
    tl.store(target + 1, green, mask=inside)
    tl.store(target + 2, blue, mask=inside)


_tuned = tuned(_box_overlay, ["size"], [({"BLOCK": 128 << step}, 4) for step in range(5)])


def box_overlay(call: BoxOverlay, *, block: int | None = None) -> RaggedImages:
    """Runs ``call`` in one launch. Returns copies of all its images, packed without gaps on the device of the pixels.

    ``block``, a power of two of at most 65,536, fixes how many pixels a program takes; by default the first launch of
    each size of the largest image, in powers of four, measures five choices and keeps the best, for later processes
    too.

    Raises InvalidArgumentError when the pixels lie on the CPU and Triton's interpreter is not chosen, or ``block`` is
    none of these.
    """
    if block is not None and (not 1 <= block <= 1 << 16 or block & (block - 1)):
        raise InvalidArgumentError(f"block must be a power of two of at most 65,536, or None, got {block}")
    device, images = call.images.pixels.device, call.images
    check_device(images.pixels, "the pixels")
    shapes = images.shapes.cpu().long()
    areas = shapes.prod(1)
    sizes = areas * 3
    offsets = sizes.cumsum(0) - sizes
    out = torch.empty(int(sizes.sum()), dtype=torch.uint8, device=device)
    rows = call.rows.cpu().long()
    order = rows.argsort(stable=True)
    ends = torch.bincount(rows, minlength=len(areas)).cumsum(0)
    firsts = torch.cat([ends.new_zeros(1), ends[:-1]])
    widths = call.widths.cpu().clamp(max=(1 << 31) - 1)
    outlines = [*call.boxes.cpu()[order].unbind(1), widths[order], *call.colors.cpu()[order].unbind(1)]
    columns = [images.offsets, images.line_bytes, *shapes.unbind(1), offsets, firsts, ends]
    largest = int(areas.max())

    def grid(meta: dict[str, Any]) -> tuple[int, int]:
        return (triton.cdiv(largest, meta["BLOCK"]), len(areas))

    launch(
        _box_overlay,
        _tuned,
        grid,
        {"BLOCK": block or 1024},
        tune=block is None,
        out=out,
        pixels=images.pixels,
        images=table(columns, device),
        outlines=table(outlines, device),
        size=largest.bit_length() // 2,
    )
    return RaggedImages(out, offsets, images.shapes)
