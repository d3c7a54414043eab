"""Zooming into photographs: 32 of 1280 × 960, 16 calls each with regions of their own, to 448 × 448, on all cores.

With decoding: an engine that is new in each repeat opens the JPEG files and zooms, no result known from before. Peers:
Pillow decoding at each call, in a thread pool, and verl-tool's tool server with pixel_reasoner (--verl-tool CHECKOUT),
which decodes at each call too and answers with a JPEG. Decoded: the same calls on Images, beside Pillow and OpenCV in
thread pools. OpenCV is given its filter of equal quality: INTER_AREA where the region shrinks on both sides, else
INTER_CUBIC, which does not smooth and so has less to do than ours wherever one side shrinks.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import cv2
from _measuring import Options, Peer, Row, in_turns, parse, parser, seconds
from _pictures import Box, Pixels, boxes, jpeg, photographs
from _table import finish
from _verl_tool import ToolServer
from PIL import Image as PilImage

import vista_fast as vf

OUT = (448, 448)
CORES = len(os.sched_getaffinity(0))
BICUBIC = PilImage.Resampling.BICUBIC


def with_decoding(jpegs: list[bytes], regions: list[list[Box]], server: ToolServer | None, given: Options) -> Row:
    calls = sum(map(len, regions))

    def ours() -> None:
        with vf.Engine() as engine, ThreadPoolExecutor(CORES) as openers:
            handles = [
                engine.submit_many(
                    "image.zoom", [{"image": image, "box": box, "size": OUT, "filter": "bicubic"} for box in each]
                )
                for image, each in zip(openers.map(engine.image, jpegs), regions, strict=True)
            ]
            for handle in handles:
                handle.result()

    def zoom(call: tuple[bytes, Box]) -> PilImage.Image:
        file, box = call
        return PilImage.open(io.BytesIO(file)).convert("RGB").crop(box).resize(OUT, BICUBIC)

    def pillow() -> None:
        with ThreadPoolExecutor(CORES) as pool:
            for _ in pool.map(zoom, [(file, box) for file, each in zip(jpegs, regions, strict=True) for box in each]):
                pass

    works = {"ours": per_second(calls, ours), "Pillow, decoding per call": per_second(calls, pillow)}
    if server is not None:
        runs = count()
        works["verl-tool, pixel_reasoner"] = per_second(calls, lambda: server.zoom(f"run{next(runs)}", jpegs, regions))
    figures = in_turns(works, given.repeats)
    wanted = {"Pillow, decoding per call": 15.0, "verl-tool, pixel_reasoner": 40.0}
    return Row(
        "zoom with decoding",
        "calls/s",
        "higher",
        figures.pop("ours"),
        [Peer(name, each, wanted[name]) for name, each in figures.items()],
        bound_by=f"arithmetic on all cores: {share_of_decoding(jpegs, regions):.0%} of it decodes the files, once "
        "each, the rest resizes; the limit is the same work without an engine",
    )


def share_of_decoding(jpegs: list[bytes], regions: list[list[Box]]) -> float:
    """Of the work of one thread, without an engine's merging."""
    images = []
    decoding = seconds(lambda: images.extend(vf.Image.decode(file) for file in jpegs))
    with vf.Engine(threads=1, cache_bytes=0) as engine:
        calls = [
            {"image": image, "box": box, "size": OUT}
            for image, each in zip(images, regions, strict=True)
            for box in each
        ]
        resizing = seconds(lambda: engine.submit_many("image.zoom", calls).result())
    return decoding / (decoding + resizing)


def decoded(pictures: list[Pixels], regions: list[list[Box]], given: Options) -> Row:
    images, pillows = [vf.Image.from_array(each) for each in pictures], [PilImage.fromarray(each) for each in pictures]
    pairs = [(index, box) for index, each in enumerate(regions) for box in each]
    calls = [{"image": images[index], "box": box, "size": OUT, "filter": "bicubic"} for index, box in pairs]
    cv2.setNumThreads(1)  # the pool's threads are its best on many small images

    def opencv(pair: tuple[int, Box]) -> Pixels:
        index, (left, top, right, bottom) = pair
        shrinks = right - left >= OUT[0] and bottom - top >= OUT[1]
        way = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        return cv2.resize(pictures[index][top:bottom, left:right], OUT, interpolation=way)  # type: ignore[return-value]

    with vf.Engine(cache_bytes=0) as engine, ThreadPoolExecutor(CORES) as pool:
        works = {
            "ours": per_second(len(calls), lambda: engine.submit_many("image.zoom", calls).result()),
            "Pillow": per_second(
                len(calls),
                lambda: list(pool.map(lambda pair: pillows[pair[0]].crop(pair[1]).resize(OUT, BICUBIC), pairs)),
            ),
            "OpenCV": per_second(len(calls), lambda: list(pool.map(opencv, pairs))),
        }
        figures = in_turns(works, given.repeats)
    return Row(
        "zoom of decoded Images",
        "calls/s",
        "higher",
        figures["ours"],
        [Peer("Pillow", figures["Pillow"], 6.0), Peer("OpenCV", figures["OpenCV"], 1.2)],
        bound_by="the products of pixels and weights in the two passes of the resize, where perf finds three "
        "quarters of the samples; it equals Pillow's bit for bit",
    )


def per_second(calls: int, work: Callable[[], object]) -> Callable[[], float]:
    return lambda: calls / seconds(work)


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--verl-tool", type=Path, metavar="CHECKOUT", help="a checkout of verl-tool, to be measured")
    arguments.add_argument("--verl-tool-python", default=sys.executable, help="an interpreter with its requirements")
    given, more = parse(arguments)
    files, each = (2, 2) if given.quick else (32, 16)
    pictures = photographs(files)
    regions = [boxes(each, seed) for seed in range(files)]
    with ExitStack() as stack:
        server = None
        if more.verl_tool is None:
            print("verl-tool: left out; give a checkout of it by --verl-tool")
        else:
            server = stack.enter_context(ToolServer(more.verl_tool.resolve(), more.verl_tool_python, CORES))
        rows = [with_decoding([jpeg(picture) for picture in pictures], regions, server, given)]
    rows.append(decoded(pictures, regions, given))
    finish(rows, given, __file__)


if __name__ == "__main__":
    main()
