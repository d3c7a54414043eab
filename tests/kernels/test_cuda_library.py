"""What can be said of the CUDA library without a GPU: how it refuses. Its arithmetic is tested in tests/cpp/cuda, and
scripts/gpu_check.py compares it with the references on a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from vista_fast.kernels import cuda_library
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
    cuda_library._function.cache_clear()
    with pytest.raises(MissingExtraError, match="VISTA_CUDA=ON"):
        cuda_library._function()
