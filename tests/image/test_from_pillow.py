"""Image.from_pillow copies Pillow's own memory, and says when it can't."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from pictures import encoded, noise
from PIL import Image as PilImage

import vista_fast as vf
from vista_fast.errors import InvalidArgumentError

needs_memory = pytest.mark.skipif(
    not hasattr(PilImage.Image, "__arrow_c_array__"), reason="Pillow gives its memory out from 11.2 on"
)


@needs_memory
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 3), (33, 41), (480, 640)])
def test_same_pixels(shape: tuple[int, int]) -> None:
    pixels = noise(*shape, 1)
    image = vf.Image.from_pillow(PilImage.fromarray(pixels))
    assert image is not None
    assert np.array_equal(np.asarray(image), pixels)
    assert image == vf.Image.from_array(pixels)


@needs_memory
def test_it_keeps_its_pixels_when_pillow_changes_its_own() -> None:
    picture = PilImage.fromarray(noise(20, 30, 2))
    image = vf.Image.from_pillow(picture)
    picture.paste((0, 0, 0), (0, 0, 30, 20))
    assert np.array_equal(np.asarray(image), noise(20, 30, 2))


@needs_memory
def test_a_file_that_is_not_read_yet() -> None:
    pixels = noise(20, 30, 3)
    with PilImage.open(io.BytesIO(encoded(PilImage.fromarray(pixels), "PNG"))) as picture:
        image = vf.Image.from_pillow(picture)
    assert np.array_equal(np.asarray(image), pixels)


def test_a_truncated_file_raises_what_pillow_raises() -> None:
    data = encoded(PilImage.fromarray(noise(90, 80, 3)), "PNG")
    with pytest.raises(OSError, match="truncated"):
        vf.Image.from_pillow(PilImage.open(io.BytesIO(data[: len(data) // 2])))


def test_memory_in_several_blocks_is_not_given_out() -> None:
    assert vf.Image.from_pillow(PilImage.new("RGB", (4000, 3000))) is None


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P"])
def test_other_modes_are_refused(mode: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"mode '{mode}'.*convert it to RGB"):
        vf.Image.from_pillow(PilImage.new(mode, (4, 3)))


class WithoutMemory:
    """A picture of an older Pillow, or memory that is not what it says."""

    mode, size = "RGB", (4, 3)

    def __init__(self, memory: Any = None) -> None:
        if memory is not None:
            self.__arrow_c_array__ = memory.__arrow_c_array__

    def load(self) -> None:
        pass


@pytest.mark.parametrize("memory", [None, "L", "larger"])
def test_other_memory_is_not_read(memory: str | None) -> None:
    other = {None: None, "L": PilImage.new("L", (4, 3)), "larger": PilImage.new("RGB", (5, 3))}[memory]
    if other is not None and not hasattr(other, "__arrow_c_array__"):
        pytest.skip("Pillow gives its memory out from 11.2 on")
    assert vf.Image.from_pillow(WithoutMemory(other)) is None
