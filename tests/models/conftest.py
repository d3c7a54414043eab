"""Images with text, drawn or taken from installed packages, and the models that read them."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import matplotlib
import numpy as np
import numpy.typing as npt
import pytest
import skimage.data
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_images

from vista_fast.models import Precision
from vista_fast.models.ocr import OcrConfig, OcrModel

matplotlib.use("Agg")

Pixels = npt.NDArray[np.uint8]

WORDS = [
    "Total",
    "amount",
    "due",
    "42.50",
    "March",
    "7,310",
    "City of",
    "(north)",
    "98%",
    "x12",
    "$3.99",
    "#4471",
    "A-17",
]


def page(width: int, height: int, lines: int, seed: int, size: int = 18, turn: float = 0, dark: bool = False) -> Pixels:
    """Lines of random words; ``turn`` in degrees counter-clockwise."""
    random = np.random.default_rng(seed)
    paper, ink = ("black", 200) if dark else ("white", 0)
    image = Image.new("RGB", (width, height), paper)
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)
    for index in range(lines):
        text = " ".join(random.choice(WORDS, random.integers(1, 7)))
        colour = tuple(ink + int(value) for value in random.integers(0, 55, 3))
        draw.text((10 + random.integers(0, 40), 10 + index * (height - 20) // lines), text, font=font, fill=colour)
    if turn:
        image = image.rotate(turn, expand=True, fillcolor=paper, resample=Image.Resampling.BICUBIC)
    return np.asarray(image)


def receipt() -> Pixels:
    image = Image.new("RGB", (420, 520), (250, 248, 240))
    draw = ImageDraw.Draw(image)
    font = ImageFont.truetype(font_manager.findfont("DejaVu Sans Mono"), 17)
    rows = [("Corner Café", ""), ("Espresso 2x", "5.80"), ("Cake", "4.25"), ("Sub-total", "10.05"), ("VAT 7%", "0.70")]
    for index, (left, right) in enumerate([*rows, ("TOTAL €", "10.75"), ("2026-11-22 17:05", "")]):
        draw.text((30, 30 + 60 * index), left, font=font, fill="black")
        draw.text((300, 30 + 60 * index), right, font=font, fill="black")
    return np.asarray(image)


def chart() -> Pixels:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 4))
    axes.plot([1990, 2000, 2010, 2020], [12.5, 18, 7, 30], label="export")
    axes.set(xlabel="Year", ylabel="Billions of dollars", title="Trade")
    axes.legend()
    figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
    pyplot.close(figure)
    return pixels


DEFAULT, CHEAP = OcrConfig().limit_side_len, 320
"""Sides that detection enlarges to; the cheap one is for images where the default costs a second or more."""

IMAGES: dict[str, tuple[int, Callable[[], Pixels]]] = {
    "page": (DEFAULT, lambda: page(600, 480, 8, 0)),
    "small print": (DEFAULT, lambda: page(448, 448, 10, 2, 10)),
    "dark page": (CHEAP, lambda: page(500, 300, 4, 3, 20, dark=True)),
    "slightly turned": (CHEAP, lambda: page(600, 400, 6, 3, 24, turn=5)),
    "turned a quarter": (DEFAULT, lambda: page(500, 400, 5, 3, 24, turn=90)),
    "turned": (CHEAP, lambda: page(600, 400, 5, 4, 24, turn=-20)),
    "tiny": (CHEAP, lambda: page(120, 40, 1, 5, 14)),
    "wide strip": (CHEAP, lambda: page(1600, 60, 1, 6, 30)),
    "low strip": (CHEAP, lambda: page(1200, 29, 1, 6, 18)),
    "large": (CHEAP, lambda: page(2300, 700, 6, 7, 48)),
    "blank": (CHEAP, lambda: np.full((300, 300, 3), 255, np.uint8)),
    "receipt": (DEFAULT, receipt),
    "chart": (DEFAULT, chart),
    "photograph": (DEFAULT, lambda: np.asarray(load_sample_images().images[0])),
}


REAL = [
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "chessboard_RGB.png", "clock_motion.png"),
    *("coffee.png", "coins.png", "color.png", "grass.png", "gravel.png", "horse.png", "hubble_deep_field.jpg"),
    *("ihc.png", "logo.png", "microaneurysms.png", "moon.png", "motorcycle_left.png", "page.png", "phantom.png"),
    *("retina.jpg", "rocket.jpg", "text.png"),
]
"""Photographs and scans that scikit-image has in its wheel."""


SCANS = {
    "img2table-2.0.0": [
        *(f"examples/data/borderless/{number}.png" for number in range(1, 5)),
        *("examples/data/borderless.jpg", "examples/data/implicit.png", "examples/data/tables.png"),
        *(".github/scripts/test.bmp", "tests/document/image/test_data/dark.png", "tests/ocr/surya/test_data/test.png"),
    ],
    "ocrmypdf-16.10.4": [
        *("docs/images/logo-social.png", "docs/images/macos-workflow.png", "misc/flatpak/sample_screenshot.png"),
        *(f"tests/resources/{name}.png" for name in ("baiona", "linn", "typewriter")),
    ],
    "mvtb-images-1.1": [
        f"mvtbimages/{name}"
        for name in (
            *("58060.png", "Image18.png", "adelson.png", "building2-1.png", "butterfly.jpg", "castle.png"),
            *("castle2.png", "church.png", "eiffel2-1.png", "flowers1.png", "greenscreen.png", "lena.png"),
            *("monalisa.png", "parks.png", "notre-dame.png", "penguins.png", "road.png", "seq/im.001.png"),
            *("street.png", "wheres-wally.png"),
        )
    ],
}
"""Scans, screenshots, tables and photographs in the sources of packages, which ``make test`` fetches into
$VISTA_TEST_SCANS."""


def real(name: str) -> Pixels:
    return shrunk(Path(skimage.data.__file__).with_name(name), 640)


def scan(name: str) -> Pixels:
    folder = os.environ.get("VISTA_TEST_SCANS")
    if folder is None:
        pytest.skip("$VISTA_TEST_SCANS is not set; make python-test sets it")
    return shrunk(Path(folder, name), 1000)


def shrunk(path: Path, longest: int) -> Pixels:
    with Image.open(path) as picture:
        picture = picture.convert("RGB")
        picture.thumbnail((longest, longest))
        return np.asarray(picture)


IMAGES |= {name: (DEFAULT, functools.partial(real, name)) for name in REAL}
IMAGES |= {
    name: (DEFAULT, functools.partial(scan, f"{package}/{name}")) for package, names in SCANS.items() for name in names
}
IMAGES |= {
    f"page {seed}": (CHEAP, functools.partial(page, 200 + 20 * seed, 320, 3 + seed % 4, 100 + seed, 16 + seed % 9))
    for seed in range(22)
}


@pytest.fixture(params=list(IMAGES))
def image(request: pytest.FixtureRequest) -> tuple[int, Pixels]:
    """Each image in turn, with the limit_side_len to read it at."""
    limit, draw = IMAGES[request.param]
    return limit, draw()


@pytest.fixture(scope="session")
def pages() -> list[Pixels]:
    """Six pages of one size."""
    return [page(320, 320, 4, seed, 20) for seed in range(6)]


@pytest.fixture(scope="session")
def sheets() -> list[Pixels]:
    """Ten pages with some 1,500 characters."""
    return [page(480, 400, 8, 300 + seed, 14 + seed) for seed in range(10)]


@pytest.fixture(scope="session")
def model_at() -> Callable[..., OcrModel]:
    """``model_at(limit_side_len, backend="openvino", precision="f32")``: loaded once each."""

    @functools.cache
    def load(
        limit: int, backend: Literal["openvino", "onnxruntime"] = "openvino", precision: Precision = "f32"
    ) -> OcrModel:
        return OcrModel(OcrConfig(backend=backend, precision=precision, limit_side_len=limit))

    return load


@pytest.fixture(scope="session")
def cheap_model(model_at: Callable[..., OcrModel]) -> OcrModel:
    return model_at(CHEAP)
