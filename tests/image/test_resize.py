"""Resizing gives what Pillow gives, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from pictures import Pixels, noise, same_pass_order
from PIL import Image as PilImage

import vista_fast as vf

FILTERS = {
    "nearest": PilImage.Resampling.NEAREST,
    "box": PilImage.Resampling.BOX,
    "bilinear": PilImage.Resampling.BILINEAR,
    "bicubic": PilImage.Resampling.BICUBIC,
    "lanczos": PilImage.Resampling.LANCZOS,
}


def check(
    engine: vf.Engine, pixels: Pixels, size: tuple[int, int], name: str, source: tuple[float, ...] | None
) -> None:
    ours = np.asarray(engine.call("image.resize", vf.Image.from_array(pixels), size=size, filter=name, source=source))
    theirs = np.asarray(PilImage.fromarray(pixels).resize(size, FILTERS[name], box=source))
    assert np.array_equal(ours, theirs), (pixels.shape, size, source, int(np.abs(ours.astype(int) - theirs).max()))


@pytest.mark.parametrize("name", FILTERS)
def test_random_shapes_and_sources(engine: vf.Engine, name: str) -> None:
    random = np.random.default_rng(11)
    compared = 0
    for seed in range(250):
        height, width, out_height, out_width = (2 ** random.uniform(0, 8, 4)).astype(int).tolist()
        size = (out_width, out_height)
        pixels = noise(height, width, seed)
        if seed % 3 == 0:
            pixels = np.where(pixels > 127, 255, 0).astype(np.uint8)
        left, right = np.sort(random.uniform(0, width, 2)).tolist()
        top, bottom = np.sort(random.uniform(0, height, 2)).tolist()
        whole = (float(int(left)), float(int(top)), float(np.ceil(right)), float(np.ceil(bottom)))
        source = (None, (left, top, right, bottom), whole)[seed % 3]
        if same_pass_order(height, width, size):
            check(engine, pixels, size, name, source)
            compared += 1
    assert compared > 150


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1, 1), (1, 1)),
        ((1, 1), (300, 200)),
        ((1, 900), (3, 7)),
        ((900, 2), (7, 3)),
        ((17, 16), (16, 17)),
        ((5, 5), (5, 5)),
    ],
)
def test_edge_shapes(engine: vf.Engine, name: str, shape: tuple[int, int], size: tuple[int, int]) -> None:
    if same_pass_order(*shape, size):
        check(engine, noise(*shape, 3), size, name, None)


@pytest.mark.parametrize("name", FILTERS)
def test_zoom_is_crop_then_resize(engine: vf.Engine, name: str) -> None:
    pixels = noise(120, 160, 5)
    image = vf.Image.from_array(pixels)
    zoomed = engine.call("image.zoom", image, box=(20.5, 9.9, 80.1, 50), size=(224, 112), filter=name)
    expected = PilImage.fromarray(pixels).crop((20, 9, 81, 50)).resize((224, 112), FILTERS[name])
    assert np.array_equal(np.asarray(zoomed), np.asarray(expected))


def test_zoom_without_size_crops(engine: vf.Engine) -> None:
    pixels = noise(40, 30, 6)
    image = vf.Image.from_array(pixels)
    assert np.array_equal(np.asarray(engine.call("image.zoom", image, box=(3, 4, 10, 20))), pixels[4:20, 3:10])
    assert np.array_equal(np.asarray(engine.call("image.zoom", image)), pixels)
