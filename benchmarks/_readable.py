"""Pictures to read: photographs and scans that packages have in their wheels, and drawn pages, receipts and charts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Pixels = npt.NDArray[np.uint8]
"""[H, W, 3] RGB."""

REAL = [
    *("astronaut.png", "brick.png", "camera.png", "cell.png", "chelsea.png", "chessboard_RGB.png", "clock_motion.png"),
    *("coffee.png", "coins.png", "color.png", "grass.png", "gravel.png", "horse.png", "hubble_deep_field.jpg"),
    *("ihc.png", "logo.png", "microaneurysms.png", "moon.png", "motorcycle_left.png", "page.png", "phantom.png"),
    *("retina.jpg", "rocket.jpg", "text.png"),
]
"""Those of scikit-image; two of scikit-learn and three of Matplotlib come with them."""
SAMPLES = ["grace_hopper.jpg", "Minduka_Present_Blue_Pack.png", "logo2.png"]
LONGEST = 640
"""The longer side, in pixels, to which the real ones are shrunk."""
WORDS = [
    *("invoice", "total", "amount", "due", "March", "42.50", "north", "7,310", "order", "98%", "balance", "A-17"),
    *("(west)", "City of", "$3.99", "#4471", "x12"),
]
SIZES = [(448, 448), (600, 480), (400, 520), (560, 420), (448, 336)]
"""Width and height in pixels of the drawn pages: a policy's crops, and pages of tickets and slides."""


def pictures(count: int) -> list[Pixels]:
    """``count`` different ones, real ones first, 29 of them; the number of lines drawn on the others is 3 to 10."""
    sources = [*real(), *(partial(drawn, seed) for seed in range(count))]
    return [draw() for draw in sources[:count]]


def real() -> list[Callable[[], Pixels]]:
    import matplotlib
    import skimage.data
    import sklearn.datasets

    folders = {
        Path(skimage.data.__file__).parent: REAL,
        Path(sklearn.datasets.__file__).parent / "images": ["china.jpg", "flower.jpg"],
        Path(matplotlib.get_data_path(), "sample_data"): SAMPLES,
    }
    return [partial(opened, folder / name) for folder, names in folders.items() for name in names]


def opened(path: Path) -> Pixels:
    with Image.open(path) as picture:
        picture.thumbnail((LONGEST, LONGEST))
        return np.asarray(picture.convert("RGB"))


def drawn(seed: int) -> Pixels:
    """A chart, a receipt, or a page of words."""
    draw = {0: chart, 1: receipt}.get(seed % 6, page)
    return draw(seed)


def page(seed: int) -> Pixels:
    """Lines of random words in one of several sizes; some on black, some slightly turned."""
    random = np.random.default_rng(seed)
    width, height = SIZES[seed % len(SIZES)]
    size, dark = int(random.integers(13, 25)), seed % 5 == 4
    image = Image.new("RGB", (width, height), "black" if dark else "white")
    draw = ImageDraw.Draw(image)
    lines = int(random.integers(3, 11))
    for line in range(lines):
        words = " ".join(random.choice(WORDS, random.integers(1, 5)))
        where = (10 + int(random.integers(0, 40)), 10 + line * (height - 20) // lines)
        draw.text(where, words, font=font("DejaVu Sans", size), fill="white" if dark else "black")
    if seed % 7 == 3:
        image = image.rotate(4, fillcolor="black" if dark else "white", resample=Image.Resampling.BICUBIC)
    return np.asarray(image)


def receipt(seed: int) -> Pixels:
    random = np.random.default_rng(seed)
    image = Image.new("RGB", (420, 520), (250, 248, 240))
    draw = ImageDraw.Draw(image)
    for row in range(7):
        name, price = random.choice(WORDS[:12]), f"{random.integers(100, 9999) / 100:.2f}"
        for left, text in ((30, f"{name} {row + 1}x"), (300, price)):
            draw.text((left, 30 + 65 * row), text, font=font("DejaVu Sans Mono", 17), fill="black")
    return np.asarray(image)


def chart(seed: int) -> Pixels:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    random = np.random.default_rng(seed)
    figure = Figure(figsize=(5, 4))
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.bar(["north", "west", "south", "east"], random.integers(5, 60, 4), label=f"export {2000 + seed}")
    axes.set(xlabel="Region", ylabel="Billions of dollars", title=f"Trade in {2000 + seed}")
    axes.legend()
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    from matplotlib import font_manager

    return ImageFont.truetype(font_manager.findfont(name), size)
