"""Decoding JPEG files to RGB pixels, one at a time on one thread, beside Pillow, OpenCV and simplejpeg.

Ours makes an Image, which keeps the file to hash it when a call first asks for its hash.
Needs the extra bench.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from _measuring import Options, Peer, Row, in_turns, options, seconds
from _pictures import jpeg, photographs
from _table import finish
from PIL import Image as PilImage

import vista_fast as vf


def row(name: str, files: list[bytes], given: Options) -> Row:
    arrays = [np.frombuffer(file, np.uint8) for file in files]

    def milliseconds(decode: Callable[[int], object]) -> Callable[[], float]:
        return lambda: 1e3 * seconds(lambda: [decode(index) for index in range(len(files))]) / len(files)

    works: dict[str, Callable[[], float]] = {
        "ours": milliseconds(lambda index: vf.Image.decode(files[index])),
        "Pillow": milliseconds(lambda index: PilImage.open(io.BytesIO(files[index])).load()),
        "OpenCV": milliseconds(lambda index: cv2.imdecode(arrays[index], cv2.IMREAD_COLOR_RGB)),
    }
    if (simplejpeg := imported("simplejpeg")) is not None:
        works["simplejpeg"] = milliseconds(lambda index: simplejpeg.decode_jpeg(files[index]))
    figures = in_turns(works, given.repeats)
    return Row(
        name,
        "ms",
        "lower",
        figures.pop("ours"),
        [Peer(peer, each, 0.95) for peer, each in figures.items()],
        bound_by="libjpeg-turbo, in which perf finds all but a few samples of a hundred"
        if "4:2:0, quality 90" in name
        else "",
    )


def imported(name: str) -> Any:
    """The module, or None."""
    return importlib.import_module(name) if importlib.util.find_spec(name) is not None else None


def main() -> None:
    given = options(__doc__, repeats=11)
    if imported("simplejpeg") is None:
        print("simplejpeg: left out, it is not installed")
    cv2.setNumThreads(1)
    pictures = photographs(1 if given.quick else 8)
    rows = [
        row(
            f"decode JPEG 1280 × 960, {subsampling}, quality {quality}",
            [jpeg(picture, quality, subsampling) for picture in pictures],
            given,
        )
        for subsampling in ("4:2:0", "4:4:4")
        for quality in (75, 90)
    ]
    finish(rows, given, __file__)


if __name__ == "__main__":
    main()
