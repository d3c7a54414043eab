"""The Triton kernel against its torch reference, and the reference against Pillow and torch's own resize."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from vista_fast.kernels import crop_resize, reference
from vista_fast.kernels.ragged import CropResize, Filter, RaggedImages

from vista_fast.errors import InvalidArgumentError

UNIT = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)}
"""The normalisation that leaves grey levels as they are."""


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed * 7919 + height * 101 + width)
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=generator)


def call_of(
    shapes: list[tuple[int, int]], boxes: list[tuple[int, ...]], size: tuple[int, int], **options
) -> CropResize:
    """One row per box, taken in turn from noise images of the given shapes."""
    images = RaggedImages.pack([noise(*shape, seed=number) for number, shape in enumerate(shapes)])
    rows = torch.arange(len(boxes)) % len(shapes)
    return CropResize(images, rows, torch.tensor(boxes), size, **options)


def assert_kernel_equals_reference(call: CropResize, blocks: crop_resize.Blocks | None = None) -> None:
    got = crop_resize.crop_resize_normalise(call, blocks=blocks)
    want = reference.crop_resize_normalise(call)
    assert got.dtype == want.dtype == call.dtype
    tolerance = 2e-5 if call.dtype == torch.float32 else 2e-2
    torch.testing.assert_close(got, want, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("shapes", "boxes", "size"),
    [
        pytest.param([(40, 60)], [(0, 0, 60, 40)], (20, 30), id="half"),
        pytest.param([(17, 23)], [(3, 2, 19, 13)], (40, 37), id="enlarge-odd"),
        pytest.param([(150, 90)], [(1, 5, 90, 150)], (9, 7), id="shrink-over-many-chunks"),
        pytest.param(
            [(30, 40), (64, 20), (5, 90)], [(0, 0, 40, 30), (2, 10, 20, 60), (0, 0, 90, 5)], (24, 36), id="ragged"
        ),
        pytest.param([(33, 65)], [(0, 0, 65, 33)], (33, 65), id="identity"),
        pytest.param([(20, 20)], [(0, 0, 20, 20), (4, 4, 9, 9), (15, 0, 20, 20)], (16, 16), id="crops-of-one-image"),
    ],
)
def test_kernel_equals_reference(filter: Filter, shapes, boxes, size) -> None:
    assert_kernel_equals_reference(call_of(shapes, boxes, size, filter=filter))


@pytest.mark.parametrize(
    "box",
    [(0, 0, 1, 1), (30, 20, 31, 21), (0, 7, 31, 8), (9, 0, 10, 21), (0, 0, 2, 1)],
    ids=["one-pixel", "last-pixel", "one-line", "one-column", "two-pixels"],
)
@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(1, 1), (18, 5)])
def test_degenerate_crops(box: tuple[int, ...], filter: Filter, size: tuple[int, int]) -> None:
    assert_kernel_equals_reference(call_of([(21, 31)], [box], size, filter=filter))


def test_one_pixel_fills_its_row_and_normalises() -> None:
    image = torch.tensor([[[255, 0, 51]]], dtype=torch.uint8)
    call = CropResize(RaggedImages.pack([image]), torch.tensor([0]), torch.tensor([[0, 0, 1, 1]]), (5, 4))
    want = (torch.tensor([1.0, 0.0, 0.2]) - torch.tensor(call.mean)) / torch.tensor(call.std)
    got = crop_resize.crop_resize_normalise(call)
    torch.testing.assert_close(got, want.view(1, 3, 1, 1).expand(1, 3, 5, 4), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("blocks", [(16, 16, 16, 16), (32, 64, 16, 32), (64, 16, 32, 16)], ids=str)
def test_block_sizes_do_not_change_the_result(blocks: tuple[int, int, int, int]) -> None:
    call = call_of([(45, 70), (70, 33)], [(0, 0, 70, 45), (3, 9, 30, 61)], (27, 50))
    assert_kernel_equals_reference(call, crop_resize.Blocks(*blocks))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    assert_kernel_equals_reference(call_of([(20, 30)], [(0, 0, 30, 20)], (10, 12), dtype=dtype))


def test_lines_may_be_apart() -> None:
    """Images whose lines are padded, one of them a view into the middle of another buffer."""
    image = noise(20, 30)
    padded = torch.full((20, 128), 255, dtype=torch.uint8)
    padded[:, :90] = image.view(20, 90)
    shapes = torch.tensor([[20, 30]], dtype=torch.int32)
    padded_images = RaggedImages(padded.flatten(), torch.tensor([0]), shapes, torch.tensor([128], dtype=torch.int32))
    call = CropResize(padded_images, torch.tensor([0]), torch.tensor([[3, 2, 29, 20]]), (11, 40))
    assert torch.equal(padded_images.image(0), image)
    assert_kernel_equals_reference(call)
    packed = call_of([(20, 30)], [(3, 2, 29, 20)], (11, 40))
    assert torch.equal(crop_resize.crop_resize_normalise(call), crop_resize.crop_resize_normalise(packed))


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(33, 65), (80, 120), (9, 13), (1, 1), (33, 40), (20, 70), (5, 60)])
def test_rounded_equals_pillow(filter: Filter, size: tuple[int, int]) -> None:
    """In noise, where every clamp and every rounding bites."""
    call = call_of([(40, 70)], [(4, 5, 69, 38)], size, filter=filter, rounded=True, **UNIT)
    want = PIL.Image.fromarray(call.images.image(0).numpy()).crop((4, 5, 69, 38))
    want = np.asarray(want.resize(size[::-1], PIL.Image.Resampling[filter.upper()]), dtype=np.float32)
    for run in (crop_resize.crop_resize_normalise, reference.crop_resize_normalise):
        off = np.abs(run(call)[0].permute(1, 2, 0).round().numpy() - want)
        assert off.max() <= 1
        # Bilinear weights are small fractions here, so that many sums lie at a half.
        assert (off > 0).mean() < (0.01 if filter == "bicubic" else 0.06)


def test_writes_into_out_and_nowhere_else() -> None:
    call = call_of([(9, 9)], [(0, 0, 9, 9)], (17, 33))
    buffer = torch.full((3, *call.out_shape[1:]), torch.nan)
    assert crop_resize.crop_resize_normalise(call, out=buffer[1:2]).data_ptr() == buffer[1].data_ptr()
    assert buffer[[0, 2]].isnan().all()
    assert buffer[1].isfinite().all()


def test_no_rows() -> None:
    call = CropResize(
        RaggedImages.pack([noise(4, 4)]),
        torch.empty(0, dtype=torch.long),
        torch.empty((0, 4), dtype=torch.long),
        (8, 8),
    )
    assert crop_resize.crop_resize_normalise(call).shape == (0, 3, 8, 8)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_kernel_equals_reference_on_random_crops(data: st.DataObject) -> None:
    shapes = data.draw(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=3))
    boxes = []
    for number in range(data.draw(st.integers(1, 4))):
        height, width = shapes[number % len(shapes)]
        left, top = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
        boxes.append((left, top, data.draw(st.integers(left + 1, width)), data.draw(st.integers(top + 1, height))))
    size = (data.draw(st.integers(1, 40)), data.draw(st.integers(1, 40)))
    filter = data.draw(st.sampled_from(["bilinear", "bicubic"]))
    assert_kernel_equals_reference(call_of(shapes, boxes, size, filter=filter))


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(13, 9), (80, 120), (40, 20)])
def test_reference_equals_torch_interpolate(filter: Filter, size: tuple[int, int]) -> None:
    call = call_of([(40, 60)], [(5, 3, 50, 39)], size, filter=filter, **UNIT)
    crop = call.images.image(0)[3:39, 5:50].permute(2, 0, 1).unsqueeze(0).float()
    want = torch.nn.functional.interpolate(crop, size=size, mode=filter, antialias=True).clamp(0, 255)
    torch.testing.assert_close(reference.crop_resize_normalise(call), want, atol=2e-3, rtol=0)


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(13, 9), (80, 120)])
def test_reference_equals_pillow_to_its_rounding(filter: Filter, size: tuple[int, int]) -> None:
    """Smooth images, so that Pillow's clamp between its passes does not bite: only its two roundings differ."""
    across, down = np.meshgrid(np.linspace(20, 220, 60), np.linspace(0, 1, 40))
    array = np.stack([across, 30 + 200 * down, across * down], 2).astype(np.uint8)
    crop = PIL.Image.fromarray(array).crop((5, 3, 50, 39))
    want = crop.resize(size[::-1], PIL.Image.Resampling[filter.upper()])
    images = RaggedImages.pack([torch.from_numpy(array)])
    call = CropResize(images, torch.tensor([0]), torch.tensor([[5, 3, 50, 39]]), size, filter=filter, **UNIT)
    got = reference.crop_resize_normalise(call)[0].permute(1, 2, 0).numpy()
    # Pillow rounds to whole levels after each of its two passes: the second pass spreads the first one's error.
    spread = reference.resize_weights(36, size[0], filter).abs().sum(1).max().item()
    assert np.abs(got - np.asarray(want, dtype=np.float32)).max() <= 0.5 * spread + 0.5 + 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": torch.tensor([[0, 0, 11, 8]])}, "leaves its image of 10 x 8"),
        ({"boxes": torch.tensor([[3, 3, 3, 8]])}, "empty or leaves"),
        ({"boxes": torch.tensor([[-1, 0, 3, 8]])}, r"\[-1, 0, 3, 8\]"),
        ({"boxes": torch.tensor([[0.0, 0, 1, 1]])}, "integer tensor"),
        ({"boxes": torch.tensor([[0, 0, 1]])}, r"\[1, 4\]"),
        ({"rows": torch.tensor([1])}, "there are 1"),
        ({"rows": torch.tensor([-1])}, "count from 0"),
        ({"size": (0, 4)}, "at least 1"),
        ({"size": (1 << 26, 1)}, "too large"),
        ({"size": (1 << 20, 1 << 20)}, "under 2"),
        ({"filter": "lanczos"}, "bilinear, bicubic"),
        ({"dtype": torch.float64}, "bfloat16"),
        ({"std": (1.0, 0.0, 1.0)}, "std above 0"),
    ],
)
def test_wrong_calls_say_what_is_wrong(change: dict, message: str) -> None:
    arguments = {
        "images": RaggedImages.pack([noise(8, 10)]),
        "rows": torch.tensor([0]),
        "boxes": torch.tensor([[0, 0, 10, 8]]),
        "size": (4, 4),
    }
    with pytest.raises(InvalidArgumentError, match=message):
        CropResize(**{**arguments, **change})


def test_wrong_images_blocks_and_out_say_what_is_wrong() -> None:
    packed = RaggedImages.pack([noise(8, 10)])
    with pytest.raises(InvalidArgumentError, match="no image"):
        RaggedImages.pack([])
    with pytest.raises(InvalidArgumentError, match="image 0 is torch"):
        RaggedImages.pack([torch.zeros(2, 2, 3)])
    short = RaggedImages(packed.pixels[:-1], packed.offsets, packed.shapes)
    with pytest.raises(InvalidArgumentError, match="239 bytes"):
        CropResize(short, torch.tensor([0]), torch.tensor([[0, 0, 10, 8]]), (4, 4))
    with pytest.raises(InvalidArgumentError, match="powers of two"):
        crop_resize.Blocks(height=24)
    call = CropResize(packed, torch.tensor([0]), torch.tensor([[0, 0, 10, 8]]), (4, 4))
    with pytest.raises(InvalidArgumentError, match="contiguous"):
        crop_resize.crop_resize_normalise(call, out=torch.empty(1, 3, 4, 5))
