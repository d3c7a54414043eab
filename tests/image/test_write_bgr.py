"""write_bgr: what a table has for each sample, in the planes that PaddlePaddle's networks take."""

from __future__ import annotations

import numpy as np
import pytest

from vista_fast._core import write_bgr
from vista_fast.errors import InvalidArgumentError

VALUES = np.random.default_rng(0).normal(size=(3, 256)).astype(np.float32)


def pixels_of(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def looked_up(pixels: np.ndarray) -> np.ndarray:
    return np.stack([VALUES[plane][pixels[..., 2 - plane]] for plane in range(3)])


@pytest.mark.parametrize("size", [(1, 1), (3, 15), (5, 16), (48, 333)])
def test_writes_the_tables_values_in_planes_of_blue_green_and_red(size: tuple[int, int]) -> None:
    pixels = pixels_of(*size)
    planes = np.empty((3, *size), np.float32)
    write_bgr(pixels, VALUES, planes)
    np.testing.assert_array_equal(planes, looked_up(pixels))


def test_leaves_what_lies_beside_the_rows() -> None:
    pixels = pixels_of(7, 20)
    canvas = np.full((3, 9, 33), -7, np.float32)
    write_bgr(pixels[:, ::-1], VALUES, canvas[:, 1:8, 4:24])
    expected = np.full((3, 9, 33), -7, np.float32)
    expected[:, 1:8, 4:24] = looked_up(pixels[:, ::-1])
    np.testing.assert_array_equal(canvas, expected)


def test_nothing_is_written_of_no_pixels() -> None:
    write_bgr(np.empty((0, 5, 3), np.uint8), VALUES, np.empty((3, 0, 5), np.float32))


def test_what_does_not_fit_is_refused() -> None:
    pixels, planes = pixels_of(8, 9), np.zeros((3, 8, 9), np.float32)
    for wrong in (planes[:2], planes[:, :7], planes[:, :, :8], np.zeros((3, 8, 18), np.float32)[..., ::2]):
        with pytest.raises(InvalidArgumentError, match="planes"):
            write_bgr(pixels, VALUES, wrong)
    with pytest.raises(InvalidArgumentError, match="height, width, 3"):
        write_bgr(pixels[..., :2].copy(), VALUES, planes)
    with pytest.raises(InvalidArgumentError, match=r"\[3, 256\]"):
        write_bgr(pixels, VALUES[:, :255], planes)
    planes.flags.writeable = False
    with pytest.raises(InvalidArgumentError, match="writable"):
        write_bgr(pixels, VALUES, planes)
    with pytest.raises(TypeError):
        write_bgr(pixels, VALUES, np.zeros((3, 8, 9)))
    assert not planes.any()
