"""lay_planes: a resized, normalised image at the top left of a canvas, equal to Pillow and numpy."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from vista_fast._core import lay_planes
from vista_fast.errors import InvalidArgumentError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def pixels_of(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("source", "size", "canvas"),
    [
        ((96, 128), (64, 48), (48, 64)),  # fills the canvas
        ((96, 128), (60, 45), (64, 96)),  # leaves a part of it
        ((7, 5), (33, 40), (41, 64)),
        ((1, 1), (3, 2), (2, 3)),
        ((480, 640), (640, 480), (512, 672)),  # of its own size
    ],
)
def test_equals_pillows_resize_and_numpys_arithmetic(
    source: tuple[int, int], size: tuple[int, int], canvas: tuple[int, int]
) -> None:
    pixels = pixels_of(*source)
    filled = np.full((3, *canvas), -7, np.float32)
    lay_planes(pixels, size, mean=MEAN, std=STD, canvas=filled)

    resized = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR), np.float32)
    expected = np.full((3, *canvas), -7, np.float32)
    scaled = (resized * np.float32(1 / 255) - np.float32(MEAN)) / np.float32(STD)
    expected[:, : size[1], : size[0]] = scaled.transpose(2, 0, 1)
    np.testing.assert_allclose(filled, expected, rtol=0, atol=1e-6)


def test_takes_pixels_of_any_strides_and_read_only_ones() -> None:
    pixels = pixels_of(40, 60)
    pixels.flags.writeable = False
    given, copied = np.empty((2, 3, 20, 30), np.float32)
    lay_planes(pixels[::2, ::-1], (30, 20), mean=MEAN, std=STD, canvas=given)
    lay_planes(np.ascontiguousarray(pixels[::2, ::-1]), (30, 20), mean=MEAN, std=STD, canvas=copied)
    np.testing.assert_array_equal(given, copied)


def test_what_does_not_fit_is_refused() -> None:
    pixels, canvas = pixels_of(8, 8), np.zeros((3, 8, 8), np.float32)
    with pytest.raises(InvalidArgumentError, match="9 x 8 does not fit into the canvas of 8 x 8"):
        lay_planes(pixels, (9, 8), mean=MEAN, std=STD, canvas=canvas)
    with pytest.raises(InvalidArgumentError, match="size"):
        lay_planes(pixels, (0, 8), mean=MEAN, std=STD, canvas=canvas)
    with pytest.raises(InvalidArgumentError, match="height, width, 3"):
        lay_planes(pixels[..., :2].copy(), (8, 8), mean=MEAN, std=STD, canvas=canvas)
    with pytest.raises(InvalidArgumentError, match="std 0"):
        lay_planes(pixels, (8, 8), mean=MEAN, std=(1, 0, 1), canvas=canvas)
    canvas.flags.writeable = False
    with pytest.raises(InvalidArgumentError, match="read-only"):
        lay_planes(pixels, (8, 8), mean=MEAN, std=STD, canvas=canvas)
    assert not canvas.any()


@pytest.mark.parametrize("canvas", [np.zeros((3, 8, 8)), np.zeros((3, 8, 16), np.float32)[..., ::2]])
def test_a_canvas_that_would_have_to_be_copied_is_refused(canvas: np.ndarray) -> None:
    with pytest.raises(TypeError):
        lay_planes(pixels_of(8, 8), (8, 8), mean=MEAN, std=STD, canvas=canvas)
