"""Decoding JPEG files to RGB pixels, one at a time on one thread, beside Pillow, OpenCV and simplejpeg.

Then what a call may ask for: a region, beside Pillow's crop of the whole picture, and a reduced picture, beside
Pillow's draft and OpenCV's reduced reading, all of the same pixels but OpenCV's.

Ours makes an Image, which keeps the file to hash it when a call first asks for its hash.
Needs the extra bench.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import statistics
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from _measuring import Options, Peer, Row, in_turns, options, seconds
from _pictures import HEIGHT, jpeg, photographs
from _profile import profiled
from _table import finish
from PIL import Image as PilImage

import vista_fast as vf

LIBJPEG = "libjpeg-turbo: entropy decoding, which is serial within a file, then the inverse transform and colours"
ALONE = "libjpeg-turbo alone, as simplejpeg calls it with nothing around it"
ENTROPY = "entropy decoding of the rows that are needed, measured by reading the picture at an eighth of its size"


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
        bound_by=LIBJPEG,
        physical=statistics.median(figures["simplejpeg"]) if "simplejpeg" in figures else None,
        physical_is=ALONE,
    )


def parts(files: list[bytes], given: Options) -> list[Row]:
    box = (400, 300, 848, 748)
    least = (640, 480)  # half of the picture

    def crop(file: bytes) -> None:
        PilImage.open(io.BytesIO(file)).crop(box).load()

    def draft(file: bytes) -> None:
        picture = PilImage.open(io.BytesIO(file))
        picture.draft("RGB", least)
        picture.load()

    def reduced(file: bytes) -> None:
        cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_REDUCED_COLOR_2)

    def milliseconds(decode: Callable[[bytes], object]) -> Callable[[], float]:
        return lambda: 1e3 * seconds(lambda: [decode(file) for file in files]) / len(files)

    works = {
        "a region of 448 × 448": {
            "ours": milliseconds(lambda file: vf.Image.decode(file, region=box)),
            "Pillow, cropping": milliseconds(crop),
        },
        "half of its size": {
            "ours": milliseconds(lambda file: vf.Image.decode(file, at_least=least)),
            "Pillow's draft": milliseconds(draft),
            "OpenCV, reduced": milliseconds(reduced),
        },
    }
    eighth = milliseconds(lambda file: vf.Image.decode(file, at_least=(1, 1)))
    entropy = min(eighth() for _ in range(5))
    needed = {"a region of 448 × 448": box[3] / HEIGHT, "half of its size": 1.0}
    rows = []
    for name, each in works.items():
        figures = in_turns(each, given.repeats)
        ours = figures.pop("ours")
        peers = [Peer(peer, theirs, 0.95) for peer, theirs in figures.items()]
        rows.append(
            Row(
                f"decode JPEG 1280 × 960, 4:2:0, quality 90, {name}",
                "ms",
                "lower",
                ours,
                peers,
                bound_by=LIBJPEG,
                physical=entropy * needed[name],
                physical_is=ENTROPY,
            )
        )
    return rows


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
    files = [jpeg(picture, 90, "4:2:0") for picture in pictures]
    rows += parts(files, given)
    profiles = profiled(given, "decoding, 4:2:0, quality 90", lambda: [vf.Image.decode(file) for file in files])
    finish(rows, given, __file__, profiles)


if __name__ == "__main__":
    main()
