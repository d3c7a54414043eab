"""What is tuned on a GPU is tuned once, however many processes follow. It runs without the conftest files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

PERSISTS = """
from vista_fast.kernels import box_overlay, crop_patchify, crop_resize, mask_resize
print(all(kernel._tuned.cache_results for kernel in (box_overlay, crop_patchify, crop_resize, mask_resize)))
"""

TUNES = """
import torch
from triton.runtime.autotuner import Autotuner
from vista_fast.kernels import box_overlay, crop_resize, mask_resize
from vista_fast.kernels.calls import BoxOverlay, MaskResize
from vista_fast.kernels.ragged import CropResize, RaggedImages

tried = []
bench = Autotuner._bench
Autotuner._bench = lambda tuner, *args, **named: tried.append(0) or bench(tuner, *args, **named)
shape = torch.tensor([[64, 64]], dtype=torch.int32)
pixels = torch.zeros(64 * 64 * 3, dtype=torch.uint8, device="cuda")
images = RaggedImages(pixels, torch.tensor([0]), shape, torch.tensor([192], dtype=torch.int32))
call = CropResize(images, torch.tensor([0]), torch.tensor([[0, 0, 64, 64]]), (48, 32), "bicubic")
crop_resize.crop_resize_normalise(call)
counts = [len(tried)]
mask_resize.mask_resize(MaskResize(torch.randn(2, 32, 32, device="cuda"), torch.tensor([[64, 64], [40, 90]])))
counts.append(len(tried) - sum(counts))
box, color = torch.tensor([[3, 4, 40, 50]]), torch.tensor([[255, 0, 0]], dtype=torch.uint8)
box_overlay.box_overlay(BoxOverlay(images, torch.tensor([0]), box, color, torch.tensor([2])))
counts.append(len(tried) - sum(counts))
print(*counts)
"""


def said(program: str, **variables: str) -> str:
    """What a process of its own prints, in which kernels are compiled."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"} | variables
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_what_is_tuned_is_kept_on_disk() -> None:
    assert said(PERSISTS) == "True"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_second_process_tunes_nothing(tmp_path: Path) -> None:
    first, second = (said(TUNES, TRITON_CACHE_DIR=str(tmp_path)).split() for _ in range(2))
    assert [int(count) > 1 for count in first] == [True] * 3
    assert second == ["0"] * 3
