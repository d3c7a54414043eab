"""image.preprocess equals the Pillow backend of transformers' Qwen2-VL image processor."""

from __future__ import annotations

import numpy as np
import pytest
from gathered import DTYPES, assert_gathers_to
from pictures import noise, same_pass_order, scene
from PIL import Image as PilImage

import vista_fast as vf
from vista_fast.errors import InvalidArgumentError

transformers = pytest.importorskip("transformers")


def processor(**options: object) -> object:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    return Qwen2VLImageProcessorPil(**options)


SHAPES = [(480, 640), (33, 41), (56, 56), (300, 90), (7, 900), (1200, 30), (1, 1), (1000, 1300)]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_transformers(engine: vf.Engine, shape: tuple[int, int], dtype: str) -> None:
    pixels = scene(*shape) // 2 + noise(*shape, 1) // 2
    if max(shape) / min(shape) > 200:
        pytest.skip("covered by test_long_strips")
    theirs = processor()(images=PilImage.fromarray(pixels), return_tensors="np")
    ours = engine.call("image.preprocess", vf.Image.from_array(pixels))
    assert tuple(ours["grid_thw"]) == tuple(theirs["image_grid_thw"][0])
    assert ours["pixel_values"].dtype == np.float32
    assert ours["pixel_values"].shape == theirs["pixel_values"].shape
    assert not ours["pixel_values"].flags.writeable
    _, rows, columns = ours["grid_thw"]
    tolerance = 1e-5 if same_pass_order(*shape, (14 * columns, 14 * rows)) else 2 / 255 / 0.26
    assert_gathers_to(ours["pixel_values"], theirs["pixel_values"], tolerance, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_other_settings(engine: vf.Engine, dtype: str) -> None:
    pixels = noise(123, 211, 2)
    options = {
        "patch_size": 16,
        "merge_size": 3,
        "temporal_patch_size": 1,
        "min_pixels": 48 * 48 * 4,
        "max_pixels": 300 * 300,
    }
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.25, 0.5]
    theirs = processor(image_mean=mean, image_std=std, **options)(
        images=PilImage.fromarray(pixels), return_tensors="np"
    )
    ours = engine.call("image.preprocess", vf.Image.from_array(pixels), mean=mean, std=std, **options)
    assert tuple(ours["grid_thw"]) == tuple(theirs["image_grid_thw"][0])
    assert_gathers_to(ours["pixel_values"], theirs["pixel_values"], 1e-5, dtype)


def test_straight_from_a_box(engine: vf.Engine) -> None:
    pixels = noise(200, 300, 3)
    image = vf.Image.from_array(pixels)
    boxed = engine.call("image.preprocess", image, box=(20, 30, 170, 120))
    cropped = engine.call("image.preprocess", vf.Image.from_array(pixels[30:120, 20:170]))
    assert boxed["grid_thw"] == cropped["grid_thw"]
    assert np.array_equal(boxed["pixel_values"], cropped["pixel_values"])


def test_long_strips(engine: vf.Engine) -> None:
    with pytest.raises(InvalidArgumentError, match="aspect ratio"):
        engine.call("image.preprocess", vf.Image.from_array(noise(2, 500, 1)))


@pytest.mark.parametrize(
    "wrong",
    [
        {"patch_size": 0},
        {"patch_size": 14.5},
        {"merge_size": "2"},
        {"min_pixels": 0},
        {"max_pixels": 10},
        {"std": [1, 0, 1]},
        {"mean": [1, 2]},
        {"mean": 0.5},
        {"box": [1, 2, 3]},
        {"sise": 3},
    ],
)
def test_wrong_settings(engine: vf.Engine, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
        engine.call("image.preprocess", vf.Image.from_array(noise(60, 60, 1)), **wrong)
