"""Rotation gives what Pillow gives, bit for bit; boxes are drawn as Pillow draws rectangles."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pictures import noise
from PIL import Image as PilImage
from PIL import ImageDraw

import vista_fast as vf

FILTERS = {
    "nearest": PilImage.Resampling.NEAREST,
    "bilinear": PilImage.Resampling.BILINEAR,
    "bicubic": PilImage.Resampling.BICUBIC,
}


@pytest.mark.parametrize("name", FILTERS)
def test_any_angle(engine: vf.Engine, name: str) -> None:
    random = np.random.default_rng(4)
    for seed in range(120):
        pixels = noise(*random.integers(1, 60, 2).tolist(), seed)
        angle = (random.uniform(-400, 400), float(random.integers(-9, 9) * 90), 45.0, 1e-9)[seed % 4]
        expand = bool(seed % 5 % 2)
        fill = tuple(random.integers(0, 256, 3).tolist())
        ours = engine.call(
            "image.rotate", vf.Image.from_array(pixels), angle=angle, filter=name, expand=expand, fill=fill
        )
        theirs = PilImage.fromarray(pixels).rotate(angle, FILTERS[name], expand=expand, fillcolor=fill)
        assert np.array_equal(np.asarray(ours), np.asarray(theirs)), (pixels.shape, angle, expand)


@pytest.mark.parametrize("angle", [1e30, -1e30, math.inf, math.nan, "90", True, None, [90]])
def test_angles_without_meaning(engine: vf.Engine, angle: object) -> None:
    with pytest.raises(vf.errors.InvalidArgumentError):
        engine.call("image.rotate", vf.Image.from_array(noise(4, 4, 1)), angle=angle)


def test_boxes_are_drawn_as_rectangles(engine: vf.Engine) -> None:
    pixels = noise(50, 60, 1)
    boxes = [(5, 5, 40, 30), (0, 0, 60, 50), (20, 20, 55, 45)]
    for width in (1, 2, 5):
        drawn = engine.call("image.draw_boxes", vf.Image.from_array(pixels), boxes=boxes, color="#ff8000", width=width)
        expected = PilImage.fromarray(pixels)
        for left, top, right, bottom in boxes:
            ImageDraw.Draw(expected).rectangle((left, top, right - 1, bottom - 1), outline="#ff8000", width=width)
        assert np.array_equal(np.asarray(drawn), np.asarray(expected))
