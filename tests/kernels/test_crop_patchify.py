"""Patches: the Triton kernel against its torch reference, and both against the native Op."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vista_fast.kernels import crop_patchify, reference
from vista_fast.kernels.calls import CLIP_STD, CropPatchify, qwen_size
from vista_fast.kernels.ragged import RaggedImages

import vista_fast as vf
from vista_fast.errors import InvalidArgumentError

LEVEL = 1 / 255 / min(CLIP_STD)
"""One grey level after the normalisation."""


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed * 7919 + height * 101 + width)
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=generator)


def call_of(shapes: list[tuple[int, int]], boxes: list[tuple[int, ...]], sizes: list, **options) -> CropPatchify:
    """One row per box, taken in turn from noise images of the given shapes."""
    images = RaggedImages.pack([noise(*shape, seed=number) for number, shape in enumerate(shapes)])
    rows = torch.arange(len(boxes)) % len(shapes)
    return CropPatchify(images, rows, torch.tensor(boxes), torch.tensor(sizes), **options)


def assert_kernel_equals_reference(call: CropPatchify, blocks: crop_patchify.Blocks | None = None) -> None:
    got = crop_patchify.crop_resize_patchify(call, blocks=blocks)
    want = reference.crop_resize_patchify(call)
    assert got.dtype == want.dtype == call.dtype
    assert got.shape == want.shape == call.out_shape
    off = (got.float() - want.float()).abs()
    tolerance = {torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}[call.dtype]
    if call.rounded:
        # A sum that lies at a half may round either way.
        assert off.max() <= LEVEL + tolerance
        assert (off > tolerance).float().mean() < 0.01
    else:
        assert off.max() <= tolerance


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("rounded", [True, False])
def test_ragged_sizes(dtype: torch.dtype, rounded: bool) -> None:
    boxes = [(0, 0, 40, 30), (2, 10, 20, 60), (0, 0, 90, 5), (7, 3, 8, 4)]
    sizes = [(28, 56), (84, 28), (28, 140), (56, 56)]
    assert_kernel_equals_reference(
        call_of([(30, 40), (64, 20), (5, 90), (9, 9)], boxes, sizes, dtype=dtype, rounded=rounded)
    )


def test_shrinks_by_a_large_factor() -> None:
    assert_kernel_equals_reference(call_of([(700, 40)], [(0, 0, 40, 700)], [(4, 4)], patch_size=2))


def test_lines_may_be_apart() -> None:
    """Images in one buffer, whose lines are padded by as many bytes as each of them likes."""
    packed = call_of([(20, 30), (33, 17)], [(3, 2, 29, 20), (0, 5, 17, 33)], [(28, 56), (56, 28)])
    pitches, starts = (128, 70), (5, 5 + 20 * 128)
    buffer = torch.full((starts[1] + 33 * 70,), 255, dtype=torch.uint8)
    for number, (pitch, start) in enumerate(zip(pitches, starts, strict=True)):
        image = packed.images.image(number)
        lines = buffer[start : start + len(image) * pitch].view(len(image), pitch)
        lines[:, : image.shape[1] * 3] = image.flatten(1)
    apart = RaggedImages(buffer, torch.tensor(starts), packed.images.shapes, torch.tensor(pitches, dtype=torch.int32))
    call = replace(packed, images=apart)
    assert_kernel_equals_reference(call)
    assert torch.equal(crop_patchify.crop_resize_patchify(call), crop_patchify.crop_resize_patchify(packed))


@pytest.mark.parametrize("blocks", [(16, 16, 16, 16), (64, 32, 32, 16)], ids=str)
def test_block_sizes_do_not_change_the_result(blocks: tuple[int, int, int, int]) -> None:
    call = call_of([(45, 70), (70, 33)], [(0, 0, 70, 45), (3, 9, 30, 61)], [(28, 84), (84, 28)], rounded=False)
    assert_kernel_equals_reference(call, crop_patchify.Blocks(*blocks))


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_kernel_equals_reference_on_random_regions(data: st.DataObject) -> None:
    patch, merge, temporal = (data.draw(st.integers(1, most)) for most in (6, 3, 3))
    shapes, boxes, sizes = [], [], []
    for _ in range(data.draw(st.integers(1, 3))):
        height, width = data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40))
        left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        shapes.append((height, width))
        boxes.append((left, top, data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))))
        sizes.append([patch * merge * data.draw(st.integers(1, 3)) for _ in range(2)])
    options = {"patch_size": patch, "merge_size": merge, "temporal_patch_size": temporal, "rounded": False}
    assert_kernel_equals_reference(
        call_of(shapes, boxes, sizes, filter=data.draw(st.sampled_from(["bilinear", "bicubic"])), **options)
    )


@pytest.mark.parametrize("run", [crop_patchify.crop_resize_patchify, reference.crop_resize_patchify])
def test_equals_the_native_op_but_for_single_levels(run) -> None:
    image, box = noise(120, 90), (11, 4, 90, 101)
    with vf.Engine(threads=1) as engine:
        want = engine.call("image.preprocess", image.numpy(), box=box, min_pixels=28 * 28)
    size = qwen_size(box[3] - box[1], box[2] - box[0], min_pixels=28 * 28)
    call = CropPatchify(RaggedImages.pack([image]), torch.tensor([0]), torch.tensor([box]), torch.tensor([size]))
    assert call.grid_thw.tolist() == [list(want["grid_thw"])]
    off = np.abs(run(call).numpy() - want["pixel_values"])
    assert off.max() <= LEVEL + 1e-5
    assert (off > LEVEL / 2).mean() < 5e-3


@settings(max_examples=30, deadline=None)
@given(height=st.integers(1, 3000), width=st.integers(1, 3000))
def test_sizes_are_those_of_the_native_op(height: int, width: int) -> None:
    if max(height, width) > 200 * min(height, width):
        with pytest.raises(InvalidArgumentError, match="crop it first"):
            qwen_size(height, width)
        return
    tall, wide = qwen_size(height, width)
    assert tall % 28 == wide % 28 == 0
    assert 56 * 56 <= tall * wide <= 28 * 28 * 1280


def test_no_rows() -> None:
    empty = torch.empty((0, 4), dtype=torch.long)
    images = RaggedImages.pack([noise(4, 4)])
    call = CropPatchify(images, empty[:, 0], empty, empty[:, :2])
    assert crop_patchify.crop_resize_patchify(call).shape == reference.crop_resize_patchify(call).shape == (0, 1176)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sizes": torch.tensor([[28, 30]])}, "multiples of 28"),
        ({"sizes": torch.tensor([[0, 28]])}, "multiples of 28"),
        ({"sizes": torch.tensor([[28.0, 28.0]])}, "integer tensor"),
        ({"sizes": torch.tensor([28, 28])}, r"\[1, 2\]"),
        ({"sizes": torch.tensor([[28, 28 << 21]])}, "too large"),
        ({"patch_size": 0}, "at least 1"),
        ({"boxes": torch.tensor([[0, 0, 11, 8]])}, "leaves its image"),
        ({"dtype": torch.int8}, "dtype is torch.int8"),
    ],
)
def test_wrong_calls_say_what_is_wrong(change: dict, message: str) -> None:
    arguments = {
        "images": RaggedImages.pack([noise(8, 10)]),
        "rows": torch.tensor([0]),
        "boxes": torch.tensor([[0, 0, 10, 8]]),
        "sizes": torch.tensor([[28, 28]]),
    }
    with pytest.raises(InvalidArgumentError, match=message):
        CropPatchify(**{**arguments, **change})
