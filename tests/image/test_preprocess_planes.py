"""image.preprocess for CLIP, SigLIP, LLaVA and InternVL equals the Pillow backends of transformers' processors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gathered import DTYPES, assert_gathers_to
from pictures import noise, same_pass_order, scene
from PIL import Image as PilImage

import vista_fast as vf
from vista_fast.errors import InvalidArgumentError

transformers = pytest.importorskip("transformers")

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}


def their_processor(family: str, options: dict[str, Any]) -> Any:
    if family == "clip":
        from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

        return CLIPImageProcessorPil(**options)
    if family == "siglip":
        from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

        return SiglipImageProcessorPil(**options)
    if family == "llava":
        from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil

        return LlavaImageProcessorPil(**options)
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

    return GotOcr2ImageProcessorPil(crop_to_patches=True, **IMAGENET, **options)


def square(side: int) -> dict[str, int]:
    return {"height": side, "width": side}


CASES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("clip", {}, {}),
    (
        "clip",
        {"size": {"shortest_edge": 100}, "crop_size": {"height": 60, "width": 90}},
        {"size": (90, 60), "shortest_edge": 100},
    ),
    ("siglip", {}, {}),
    ("siglip", {"size": {"height": 70, "width": 130}}, {"size": (130, 70)}),
    ("llava", {"size": {"shortest_edge": 336}, "crop_size": square(336)}, {}),
    (
        "llava",
        {"size": {"shortest_edge": 224}, "crop_size": square(224), "do_pad": True},
        {"size": (224, 224), "pad_to_square": True},
    ),
    ("intern_vl", {"size": square(448)}, {}),
    (
        "intern_vl",
        {"size": square(112), "min_patches": 3, "max_patches": 7},
        {"size": (112, 112), "min_tiles": 3, "max_tiles": 7},
    ),
    ("intern_vl", {"size": square(64), "max_patches": 1, "min_patches": 1}, {"size": (64, 64), "max_tiles": 1}),
]
SHAPES = [(480, 640), (333, 97), (97, 333), (224, 224), (1, 1), (5, 90), (90, 5), (700, 701), (448, 896), (37, 1000)]


@pytest.mark.parametrize(
    ("family", "theirs", "ours"), CASES, ids=[f"{case[0]}-{index}" for index, case in enumerate(CASES)]
)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_equals_transformers(
    engine: vf.Engine, family: str, theirs: dict[str, Any], ours: dict[str, Any], shape: tuple[int, int], dtype: str
) -> None:
    pixels = scene(*shape) // 2 + noise(*shape, 1) // 2
    expected = their_processor(family, theirs)(images=PilImage.fromarray(pixels), return_tensors="np")["pixel_values"]
    result = engine.call("image.preprocess", pixels, processor=family, **ours)
    values = result["pixel_values"]
    assert (values.dtype, values.shape) == (np.float32, expected.shape)
    columns, rows = result["grid"]
    tiles = columns * rows
    assert len(values) == (tiles + 1 if tiles > 1 else 1)
    allowed = tolerance(family, ours, shape, (columns, rows), expected.shape[-2:])
    assert_gathers_to(values, expected, allowed, dtype)


def tolerance(
    family: str, ours: dict[str, Any], shape: tuple[int, int], grid: tuple[int, int], out: tuple[int, int]
) -> float:
    """1e-5 where the installed Pillow resizes in the order of Pillow 13, as we do; else two steps of a pixel."""
    height, width = (max(shape), max(shape)) if ours.get("pad_to_square") else shape
    if family in ("clip", "llava"):
        edge = ours.get("shortest_edge", max(out))
        short = min(height, width)
        sizes = [(int(edge * width / short), int(edge * height / short))]
    else:
        sizes = [(grid[0] * out[1], grid[1] * out[0]), (out[1], out[0])]
    same = all(same_pass_order(height, width, size) for size in sizes)
    return 1e-5 if same else 2 / 255 / 0.22


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"processor": "resnet"}, "clip.*siglip"),
        ({"processor": "clip", "patch_size": 14}, "no argument 'patch_size'"),
        ({"processor": "qwen_vl", "size": (3, 3)}, "no argument 'size'"),
        ({"processor": "clip", "size": (224, 224), "shortest_edge": 100}, "larger than the resized image"),
        ({"processor": "intern_vl", "min_tiles": 5, "max_tiles": 4}, "min_tiles is 5 and max_tiles 4"),
        ({"processor": "siglip", "std": [0, 1, 1]}, "std above 0"),
        ({"processor": "siglip", "size": (0, 5)}, "size"),
    ],
)
def test_what_has_no_meaning_is_refused(engine: vf.Engine, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        engine.call("image.preprocess", np.zeros((30, 40, 3), np.uint8), **arguments)
