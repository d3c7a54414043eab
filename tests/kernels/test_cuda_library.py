"""What can be said of the CUDA library without a GPU: how it refuses, and how it plans a launch. Its arithmetic is
tested in tests/cpp/cuda, and scripts/gpu_check.py compares it with the references on a GPU."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

import pytest
import torch
from vista_fast.kernels import cuda_library, reference
from vista_fast.kernels.calls import CropPatchify
from vista_fast.kernels.ragged import CropResize, RaggedImages

from vista_fast.errors import InvalidArgumentError, MissingExtraError


def test_pixels_of_the_cpu_are_refused() -> None:
    images = RaggedImages.pack([torch.zeros(4, 4, 3, dtype=torch.uint8)])
    call = CropResize(images, torch.tensor([0]), torch.tensor([[0, 0, 4, 4]]), (2, 2))
    with pytest.raises(InvalidArgumentError, match="lie on cpu"):
        cuda_library.crop_resize_normalise(call)


def test_a_library_that_was_not_built_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(cuda_library.SETTING, str(tmp_path / "absent.so"))
    assert cuda_library.library_path() is None
    cuda_library._library.cache_clear()
    with pytest.raises(MissingExtraError, match="VISTA_CUDA=ON"):
        cuda_library._library()


@pytest.fixture
def library() -> cuda_library._Library:
    cuda_library._library.cache_clear()
    if cuda_library.library_path() is None:
        pytest.skip("the CUDA kernels were not built; make cuda-compile builds them")
    return cuda_library._library()


def planned(library: cuda_library._Library, call: CropPatchify) -> list[tuple[int, ...]]:
    """First byte, first number, (step, length, size) of the last axis and of the first, patches across, turned."""
    tensors = [cuda_library._on_host(each) for each in (call.images.offsets, call.rows, call.boxes, call.sizes)]
    offsets, rows, boxes, sizes = (tensor.data_ptr() for tensor in tensors)
    pitches = cuda_library._on_host(call.images.line_bytes, torch.int32)
    batch = cuda_library._Batch(
        image_offsets=offsets,
        image_pitches=pitches.data_ptr(),
        row_images=rows,
        boxes=boxes,
        sizes=sizes,
        row_count=len(call.rows),
        layout=1,
        patches=cuda_library._Three(call.patch_size, call.merge_size, call.temporal_patch_size),
        bicubic=True,
        rounded=call.rounded,
    )
    plan = torch.empty(len(call.rows) * library.planned_row_bytes, dtype=torch.uint8)
    library.plan(batch, plan.data_ptr())
    rows_of = struct.iter_unpack("<qq iiiff iiiff 8i 6i", plan.numpy().tobytes())
    return [(*row[:5], *row[7:10], row[20], row[24]) for row in rows_of]


def test_a_plan_has_the_rows_of_the_other_kernels(library: cuda_library._Library) -> None:
    images = RaggedImages.pack([torch.zeros(side, 40, 3, dtype=torch.uint8) for side in (60, 400, 1)])
    boxes = torch.tensor([[1, 2, 39, 50], [0, 0, 33, 400], [0, 0, 5, 1]])
    sizes = torch.tensor([[56, 28], [56, 28], [28, 84]])
    for rounded in (True, False):
        call = CropPatchify(images, torch.tensor([0, 1, 2]), boxes, sizes, rounded=rounded)
        numbers = call.out_shape[1]
        want = [(row[0], row[8] * numbers, *row[1:7], row[9], row[7]) for row in call.table.tolist()]
        assert planned(library, call) == want
        assert [row[-1] for row in want] == [0, int(rounded), 0]


def test_a_plan_refuses_what_makes_no_sense(library: cuda_library._Library) -> None:
    images = RaggedImages.pack([torch.zeros(4, 4, 3, dtype=torch.uint8)])
    call = CropPatchify(images, torch.tensor([0]), torch.tensor([[0, 0, 4, 4]]), torch.tensor([[28, 28]]))
    call.sizes[0, 0] = 0
    with pytest.raises(InvalidArgumentError, match=r"row 0 resizes 4 x 4 pixels to 28 x 0"):
        planned(library, call)
    call.sizes[0, 0] = 30
    with pytest.raises(InvalidArgumentError, match=r"row 0 becomes 28 x 30 pixels; .*multiples of 28"):
        planned(library, call)
    object.__setattr__(call, "patch_size", 0)
    with pytest.raises(InvalidArgumentError, match="numbers of at least 1"):
        planned(library, call)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.usefixtures("library")
def test_more_rows_than_a_launch_takes() -> None:
    """Of both kernels: enlarged or shrunk little, and shrunk much."""
    random = torch.Generator().manual_seed(0)
    images = RaggedImages.pack(
        [torch.randint(0, 256, (side, 201, 3), dtype=torch.uint8, generator=random) for side in (60, 400)]
    ).to("cuda")
    rows = torch.arange(600) % 2
    boxes = torch.tensor([[n % 7, n % 5, 201 - n % 3, 60 if n % 2 == 0 else 400 - n % 11] for n in range(600)])
    sizes = torch.tensor([[56, 196] if n % 3 else [28, 56] for n in range(600)])
    call = CropPatchify(images, rows, boxes, sizes)
    off = (cuda_library.crop_resize_patchify(call) - reference.crop_resize_patchify(call)).abs()
    level = 1 / 255 / min(call.std)
    assert off.max().item() <= 2.01 * level
    assert (off > level / 2).float().mean().item() <= 0.01


def test_a_batch_is_laid_out_as_in_the_header() -> None:
    """The library asserts the same numbers."""
    batch = cuda_library._Batch
    assert ctypes.sizeof(batch) == 128
    assert [getattr(batch, name).offset for name in ("scale", "shift", "type", "out")] == [88, 100, 112, 120]


def test_what_is_no_library_of_this_version_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = tmp_path / "other.so"
    other.write_text("no library")
    monkeypatch.setenv(cuda_library.SETTING, str(other))
    cuda_library._library.cache_clear()
    with pytest.raises(MissingExtraError, match=r"other.so is not the library .*build it again"):
        cuda_library._library()
    cuda_library._library.cache_clear()
