"""How far the processors here are from transformers' torchvision backend: as far as its own Pillow backend is.

In steps of 1/255 before normalisation, measured with torchvision 0.28 and Pillow 13: two in smooth pictures, whichever
the processor; in noise two, but 23 for Qwen2-VL.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

for needed in ("transformers", "torchvision"):
    if find_spec(needed) is None:
        pytest.skip(f"needs {needed}", allow_module_level=True)

# A process of its own: transformers looks for torchvision once, and torchvision's operators must be there by then.
PROGRAM = """
import importlib, json, sys
import numpy as np
import torch
from PIL import Image

try:
    import torchvision
except RuntimeError:  # built for another torch: its Python parts need no more than two schemas
    try:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")
        import torchvision
    except (ImportError, RuntimeError):
        sys.exit(77)
torch.set_num_threads(1)
import vista_fast.integrations.transformers as ours

random = np.random.default_rng(1)


def noise(height, width):
    return Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))


def smooth(height, width):
    return noise(height // 16 + 2, width // 16 + 2).resize((width, height), Image.Resampling.BICUBIC)


def steps(one, other, picture):
    first, second = (each(images=[picture], return_tensors="pt")["pixel_values"].double() for each in (one, other))
    return float((first - second).abs().max()) * 255 * float(np.max(one.image_std))


SHAPES = [(480, 640), (97, 333), (1000, 700)]
PICTURES = {kind.__name__: [kind(*shape) for shape in SHAPES] for kind in (smooth, noise)}
for family, name, settings in json.loads(sys.argv[1]):
    theirs = importlib.import_module(f"transformers.models.{family}.image_processing_{family}")
    pillow = importlib.import_module(f"transformers.models.{family}.image_processing_pil_{family}")
    fast, plain = getattr(theirs, name)(**settings), getattr(pillow, name + "Pil")(**settings)
    here = getattr(ours, name)(**settings)
    for kind, pictures in PICTURES.items():
        found = [max(steps(fast, each, picture) for picture in pictures) for each in (here, plain)]
        print(json.dumps([family, kind, *found]))
"""


PROCESSORS = [
    ("qwen2_vl", "Qwen2VLImageProcessor", {}),
    ("clip", "CLIPImageProcessor", {}),
    ("siglip", "SiglipImageProcessor", {}),
    ("llava", "LlavaImageProcessor", {}),
    ("got_ocr2", "GotOcr2ImageProcessor", {"crop_to_patches": True}),
]
MOST = {"smooth": 2.3, "noise": 2.3}
MOST_OF_QWEN = {"smooth": 2.3, "noise": 26.0}


def test_as_far_as_the_pillow_backend(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(PROCESSORS)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode == 77:
        pytest.skip("torchvision can't be imported beside this torch")
    assert ran.returncode == 0, ran.stderr
    found = {(family, kind): steps for family, kind, *steps in map(json.loads, ran.stdout.splitlines())}
    assert len(found) == 2 * len(PROCESSORS)
    for (family, kind), (ours, pillow) in found.items():
        most = MOST_OF_QWEN if family == "qwen2_vl" else MOST
        assert ours <= most[kind], (family, kind, ours)
        assert abs(ours - pillow) < 0.01, (family, kind, ours, pillow)
