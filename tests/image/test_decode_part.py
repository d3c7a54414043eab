"""Decoding a region, or at a reduced scale: the pixels of the whole picture, without decoding all of it."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pictures import Pixels, encoded, noise, scene
from PIL import Image as PilImage

import vista_fast as vf
from vista_fast.errors import InvalidArgumentError, ResourceExhaustedError

HEIGHT, WIDTH = 203, 149
MIXED = PilImage.fromarray(scene(HEIGHT, WIDTH) // 2 + noise(HEIGHT, WIDTH, 3) // 2)
TURNED = PilImage.Exif()
TURNED[0x0112] = 6
FILES = {
    **{chroma: encoded(MIXED, "JPEG", quality=85, subsampling=chroma) for chroma in ("4:4:4", "4:2:2", "4:2:0")},
    "restarts": encoded(MIXED, "JPEG", quality=85, restart_marker_blocks=3),
    "progressive": encoded(MIXED, "JPEG", progressive=True),
    "grey": encoded(MIXED.convert("L"), "JPEG"),
    "cmyk": encoded(MIXED.convert("CMYK"), "JPEG"),
    "turned": encoded(MIXED, "JPEG", exif=TURNED),
    "png": encoded(MIXED, "PNG"),
    "turned png": encoded(MIXED, "PNG", exif=TURNED),
    "webp": encoded(MIXED, "WEBP"),
}
IS_JPEG = {name: data.startswith(b"\xff\xd8") for name, data in FILES.items()}

spans = st.tuples(st.floats(-20, 220), st.floats(0.1, 230)).map(lambda span: (span[0], span[0] + span[1]))


def pixels(data: bytes, **options: object) -> Pixels:
    return np.asarray(vf.Image.decode(data, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=60, deadline=None)
@given(across=spans, down=spans)
def test_a_region_has_the_pixels_of_the_whole(
    name: str, across: tuple[float, float], down: tuple[float, float]
) -> None:
    whole = pixels(FILES[name])
    height, width, _ = whole.shape
    left, right = max(0, int(np.floor(across[0]))), min(width, int(np.ceil(across[1])))
    top, bottom = max(0, int(np.floor(down[0]))), min(height, int(np.ceil(down[1])))
    region = (across[0], down[0], across[1], down[1])
    if left >= right or top >= bottom:
        with pytest.raises(InvalidArgumentError, match="lies outside"):
            pixels(FILES[name], region=region)
    else:
        assert np.array_equal(pixels(FILES[name], region=region), whole[top:bottom, left:right])


@pytest.mark.parametrize("eighths", [1, 2, 4])
@pytest.mark.parametrize("name", ["4:4:4", "4:2:2", "4:2:0", "progressive", "grey"])
def test_a_reduced_picture_has_the_pixels_that_pillow_drafts(name: str, eighths: int) -> None:
    least = (-(-WIDTH * eighths // 8), -(-HEIGHT * eighths // 8))
    drafted = PilImage.open(io.BytesIO(FILES[name]))
    drafted.draft(drafted.mode, (WIDTH * eighths // 8, HEIGHT * eighths // 8))
    assert drafted.size == least
    assert np.array_equal(pixels(FILES[name], at_least=least), np.asarray(drafted.convert("RGB")))


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40, deadline=None)
@example(across=(0.0, 1.0), down=(0.0, 3.0), at_least=(1, 2))
@given(across=spans, down=spans, at_least=st.tuples(st.integers(1, 200), st.integers(1, 200)))
def test_a_reduced_region_is_a_region_of_the_reduced(
    name: str, across: tuple[float, float], down: tuple[float, float], at_least: tuple[int, int]
) -> None:
    region = (across[0], down[0], across[1], down[1])
    try:
        full = vf.Image.decode(FILES[name], region=region)
    except InvalidArgumentError:
        return
    part = pixels(FILES[name], region=region, at_least=at_least)
    if not IS_JPEG[name]:
        assert np.array_equal(part, np.asarray(full))
        return
    if part.shape == np.asarray(full).shape:
        return  # too small to reduce: what is asked for would be lost, or is the whole anyway
    assert part.shape[1] >= at_least[0]
    assert part.shape[0] >= at_least[1]
    # The size of a small part does not tell by what it was reduced.
    scales = [
        s for s in (8, 4, 2) if abs(part.shape[1] - full.width / s) <= 2 and abs(part.shape[0] - full.height / s) <= 2
    ]
    assert any(is_of_the_reduced(part, name, region, scale) for scale in scales)


def is_of_the_reduced(part: Pixels, name: str, region: tuple[float, float, float, float], scale: int) -> bool:
    whole = vf.Image.decode(FILES[name])
    reduced = pixels(FILES[name], at_least=(-(-whole.width // scale), -(-whole.height // scale)))
    windows = np.lib.stride_tricks.sliding_window_view(reduced, part.shape)[:, :, 0]
    left, top = (int(max(0, np.floor(edge))) // scale for edge in region[:2])
    places = [(y, x) for y in (top, top + 1) for x in (left, left + 1)]
    # A turned picture is reduced as it is stored, so that its edges may round the other way.
    near = [windows[y, x] for y, x in places if y < windows.shape[0] and x < windows.shape[1]]
    return any(np.array_equal(part, window) for window in near)


@pytest.mark.parametrize("name", FILES)
def test_what_covers_everything_changes_nothing(name: str) -> None:
    whole = vf.Image.decode(FILES[name])
    same = vf.Image.decode(FILES[name], region=(-5, -5, 900, 900), at_least=(whole.width, whole.height))
    assert np.array_equal(np.asarray(same), np.asarray(whole))


def test_the_hash_of_a_part_is_that_of_its_pixels() -> None:
    part = vf.Image.decode(FILES["4:2:0"], region=(10, 20, 60, 70))
    assert part.hash == vf.Image.from_array(np.asarray(part)).hash


def test_bad_parts() -> None:
    data = FILES["4:2:0"]
    with pytest.raises(InvalidArgumentError, match="empty or reversed"):
        vf.Image.decode(data, region=(10, 10, 10, 20))
    with pytest.raises(InvalidArgumentError, match="not finite"):
        vf.Image.decode(data, region=(0, 0, float("nan"), 20))
    with pytest.raises(InvalidArgumentError, match="at_least"):
        vf.Image.decode(data, at_least=(0, 10))
    with pytest.raises(ResourceExhaustedError, match="limit"):
        vf.Image.decode(data, region=(0, 0, 5, 5), pixel_limit=100)
    with pytest.raises(InvalidArgumentError, match="too early"):
        vf.Image.decode(data[: len(data) // 2], region=(0, 190, 100, 200))


def test_an_engine_holds_each_part_once() -> None:
    data = FILES["4:2:0"]
    with vf.Engine(threads=1) as engine:
        part = engine.image(data, region=(10, 20, 60, 70))
        assert engine.image(data, region=(10.0, 20.0, 60.0, 70.0)) is part
        assert engine.held_image(part.hash) is part
        assert engine.image(data, region=(10, 20, 60, 71)) != part
        small = engine.image(data, at_least=(70, 100))
        assert (small.width, small.height) == (75, 102)
        assert engine.image(data).width == WIDTH
        with pytest.raises(InvalidArgumentError, match="decoded already"):
            engine.image(part, region=(0, 0, 5, 5))
