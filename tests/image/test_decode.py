"""Decoding gives the pixels that Pillow gives; bytes that can't be decoded give a typed error."""

from __future__ import annotations

import base64
import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import Pixels, encoded, noise, scene
from PIL import Image as PilImage
from PIL import ImageOps

import vista_fast as vf
from vista_fast._core import encoded_hash
from vista_fast.errors import InvalidArgumentError, ResourceExhaustedError

HEIGHT, WIDTH = 45, 61
RGB = PilImage.fromarray(scene(HEIGHT, WIDTH))
ALPHA = PilImage.fromarray((np.arange(HEIGHT * WIDTH) % 256).astype(np.uint8).reshape(HEIGHT, WIDTH))
RGBA = RGB.copy()
RGBA.putalpha(ALPHA)


def pillow_pixels(data: bytes) -> Pixels:
    """Upright, over white."""
    image = ImageOps.exif_transpose(PilImage.open(io.BytesIO(data)))
    if image.has_transparency_data:
        over = image.convert("RGBA")
        image = PilImage.new("RGB", over.size, "white")
        image.paste(over, mask=over.getchannel("A"))
    return np.asarray(image.convert("RGB"))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, depth: int, color: int, rows: bytes, *more: bytes, interlaced: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            png_chunk(b"IHDR", header),
            *more,
            png_chunk(b"IDAT", zlib.compress(rows)),
            png_chunk(b"IEND", b""),
        ]
    )


JPEGS = {
    **{
        f"{quality} {chroma}": encoded(RGB, "JPEG", quality=quality, subsampling=chroma)
        for quality in (30, 92)
        for chroma in ("4:4:4", "4:2:2", "4:2:0")
    },
    "progressive": encoded(RGB, "JPEG", progressive=True),
    "grey": encoded(RGB.convert("L"), "JPEG"),
    "cmyk": encoded(RGB.convert("CMYK"), "JPEG"),
}
PNGS = {
    "rgb": encoded(RGB, "PNG"),
    "rgba": encoded(RGBA, "PNG"),
    "grey": encoded(RGB.convert("L"), "PNG"),
    "grey alpha": encoded(RGBA.convert("LA"), "PNG"),
    "bilevel": encoded(RGB.convert("1"), "PNG"),
    "palette": encoded(RGB.convert("P"), "PNG"),
    "palette of 13": encoded(RGB.quantize(13), "PNG"),
    "palette of 2": encoded(RGB.quantize(2), "PNG"),
    "palette with alpha": encoded(RGB.quantize(40), "PNG", transparency=bytes(range(0, 240, 6))),
    "rgb with a transparent colour": encoded(RGB, "PNG", transparency=RGB.getpixel((5, 5))),
    "grey with a transparent level": encoded(RGB.convert("L"), "PNG", transparency=RGB.convert("L").getpixel((5, 5))),
}
WEBPS = {
    "lossy": encoded(RGB, "WEBP"),
    "lossless": encoded(RGB, "WEBP", lossless=True),
    "lossy alpha": encoded(RGBA, "WEBP"),
    "lossless alpha": encoded(RGBA, "WEBP", lossless=True),
    "animation": encoded(RGBA, "WEBP", save_all=True, append_images=[RGB.convert("RGBA")]),
}


@pytest.mark.parametrize("data", [*JPEGS.values(), *PNGS.values(), *WEBPS.values()], ids=[*JPEGS, *PNGS, *WEBPS])
def test_same_pixels_as_pillow(data: bytes) -> None:
    image = vf.Image.decode(data)
    assert np.array_equal(np.asarray(image), pillow_pixels(data))
    assert image.hash == encoded_hash(data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_orientation(file_format: str, orientation: int) -> None:
    exif = PilImage.Exif()
    exif[0x0112] = orientation
    data = encoded(RGB, file_format, exif=exif)
    image = vf.Image.decode(data)
    assert (image.width, image.height) == ((HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT))
    assert np.array_equal(np.asarray(image), pillow_pixels(data))


def test_sixteen_bits_keep_their_high_byte() -> None:
    values = np.random.default_rng(1).integers(0, 65536, (9, 8, 3)).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    assert np.array_equal(np.asarray(vf.Image.decode(png(8, 9, 16, 2, rows))), (values >> 8).astype(np.uint8))
    grey = b"".join(b"\0" + row.tobytes() for row in values[..., 0])
    assert np.array_equal(np.asarray(vf.Image.decode(png(8, 9, 16, 0, grey)))[..., 1], (values[..., 0] >> 8))


def grey_of_sixteen_bits(transparent: int | None) -> bytes:
    levels = np.linspace(0, 65535, 240).round().astype(">u2").reshape(12, 20)
    levels[0, 0] = 513
    rows = b"".join(b"\0" + row.tobytes() for row in levels)
    more = [] if transparent is None else [png_chunk(b"tRNS", transparent.to_bytes(2, "big"))]
    return png(20, 12, 16, 0, rows, *more)


@pytest.mark.parametrize(
    "data",
    [*PNGS.values(), grey_of_sixteen_bits(None), grey_of_sixteen_bits(513), grey_of_sixteen_bits(0)],
    ids=[*PNGS, "16 bits", "16 bits with a transparent level", "16 bits with transparent black"],
)
def test_a_picture_that_pillow_opened_has_the_pixels_of_its_file(engine: vf.Engine, data: bytes) -> None:
    opened = engine.image(PilImage.open(io.BytesIO(data)))
    assert np.array_equal(np.asarray(opened), np.asarray(vf.Image.decode(data)))


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I;16L"])
def test_levels_of_sixteen_bits_keep_their_high_byte_in_any_order(engine: vf.Engine, mode: str) -> None:
    levels = np.array([[0, 255, 256, 40_000, 65_535]], ">u2" if mode == "I;16B" else "<u2")
    picture = PilImage.frombytes(mode, (5, 1), levels.tobytes())
    assert np.asarray(engine.image(picture))[0, :, 1].tolist() == [0, 0, 1, 156, 255]


def test_a_mode_that_pillow_can_not_convert_is_named(engine: vf.Engine) -> None:
    with pytest.raises(InvalidArgumentError, match=r"mode 'La'.*convert it to RGB first"):
        engine.image(PilImage.new("La", (4, 3)))


def test_interlaced_png() -> None:
    # The seven passes of Adam7: (first row, row step, first column, column step).
    passes = [(0, 8, 0, 8), (0, 8, 4, 8), (4, 8, 0, 4), (0, 4, 2, 4), (2, 4, 0, 2), (0, 2, 1, 2), (1, 2, 0, 1)]
    pixels = noise(13, 11, 2)
    rows = b"".join(
        b"\0" + row.tobytes() for top, down, left, right in passes for row in pixels[top::down, left::right] if row.size
    )
    data = png(11, 13, 8, 2, rows, interlaced=1)
    assert np.array_equal(np.asarray(vf.Image.decode(data)), pixels)


@pytest.mark.parametrize("size", [(50_000, 50_000), (2**31 - 1, 2**31 - 1), (1, 2**31 - 1), (14_000, 14_000)])
def test_pixel_limit_comes_before_allocation(size: tuple[int, int]) -> None:
    with pytest.raises(ResourceExhaustedError, match=f"{size[0]} x {size[1]}"):
        vf.Image.decode(png(*size, 8, 2, b""))


def test_pixel_limit_can_be_set() -> None:
    data = PNGS["rgb"]
    assert vf.Image.decode(data, pixel_limit=HEIGHT * WIDTH).width == WIDTH
    with pytest.raises(ResourceExhaustedError, match="limit"):
        vf.Image.decode(data, pixel_limit=HEIGHT * WIDTH - 1)


def test_too_many_scans() -> None:
    data = JPEGS["progressive"]
    last = data.rindex(b"\xff\xda")
    bomb = data[:last] + data[last:-2] * 400 + data[-2:]
    with pytest.raises(InvalidArgumentError, match="scans"):
        vf.Image.decode(bomb)


@pytest.mark.parametrize("data", [b"", b"\0", b"GIF89a" + bytes(50), b"<svg/>", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image(data: bytes) -> None:
    with pytest.raises(InvalidArgumentError, match=f"{len(data)} bytes"):
        vf.Image.decode(data)


SAMPLES = [
    JPEGS["92 4:2:0"],
    JPEGS["progressive"],
    JPEGS["cmyk"],
    PNGS["rgba"],
    PNGS["palette with alpha"],
    *WEBPS.values(),
]


@pytest.mark.parametrize("data", SAMPLES)
def test_truncated(data: bytes) -> None:
    for size in {0, 1, 11, 12, 25, 40, len(data) // 3, len(data) // 2, len(data) * 3 // 4}:
        with pytest.raises(InvalidArgumentError):
            vf.Image.decode(data[:size])


@settings(max_examples=250, deadline=None)
@given(
    data=st.sampled_from(SAMPLES),
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=8),
    cut=st.none() | st.integers(0, 10_000),
)
def test_damage_is_an_error_or_a_picture(data: bytes, changes: list[tuple[int, int]], cut: int | None) -> None:
    damaged = bytearray(data)
    for at, value in changes:
        damaged[at % len(damaged)] = value
    with contextlib.suppress(InvalidArgumentError, ResourceExhaustedError):
        image = vf.Image.decode(bytes(damaged[:cut]), pixel_limit=1 << 20)
        assert np.asarray(image).shape == (image.height, image.width, 3)


def test_sources_of_an_engine(engine: vf.Engine, tmp_path) -> None:
    data = PNGS["rgb"]
    path = tmp_path / "picture.png"
    path.write_bytes(data)
    url = "data:image/png;base64," + base64.b64encode(data).decode()
    for source in (data, path, str(path), url, RGB, np.asarray(RGB), vf.Image.decode(data)):
        assert np.array_equal(np.asarray(engine.image(source)), np.asarray(RGB))
