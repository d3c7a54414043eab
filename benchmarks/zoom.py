"""Zooming into photographs: 32 of 1280 × 960, 16 calls each with regions of their own, to 448 × 448, on all cores.

With decoding: an engine that is new in each repeat opens the JPEG files and zooms, no result known from before. Peers:
Pillow decoding at each call, in a thread pool, and verl-tool's tool server with pixel_reasoner (--verl-tool CHECKOUT),
as its README starts it and with workers that suit the machine. It decodes at each call too, resizes the same regions
not to 448 × 448 but to the nearest multiples of 28, and answers with a JPEG. Decoded: the same calls on Images, beside
Pillow and OpenCV in thread pools. OpenCV is given its filter of equal quality: INTER_AREA where the region shrinks on
both sides, else INTER_CUBIC, which does not smooth and so has less to do than ours wherever one side shrinks.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

import cv2
from _limits import copy_bandwidth
from _measuring import Options, Peer, Profile, Row, in_turns, options, seconds
from _pictures import Box, Pixels, boxes, jpeg, photographs
from _profile import profiled
from _table import finish
from _verl_tool import ToolServer
from PIL import Image as PilImage

import vista_fast as vf

OUT = (448, 448)
CORES = len(os.sched_getaffinity(0))
BICUBIC = PilImage.Resampling.BICUBIC


def open_and_zoom(jpegs: list[bytes], regions: list[list[Box]]) -> None:
    with vf.Engine() as engine, ThreadPoolExecutor(CORES) as openers:
        handles = [
            engine.submit_many(
                "image.zoom", [{"image": image, "box": box, "size": OUT, "filter": "bicubic"} for box in each]
            )
            for image, each in zip(openers.map(engine.image, jpegs), regions, strict=True)
        ]
        for handle in handles:
            handle.result()


README, TUNED = "verl-tool, as its README says", "verl-tool, its workers suited to this machine"


def with_decoding(
    jpegs: list[bytes], regions: list[list[Box]], servers: Mapping[str, ToolServer], given: Options
) -> Row:
    calls = sum(map(len, regions))

    def zoom(call: tuple[bytes, Box]) -> PilImage.Image:
        file, box = call
        return PilImage.open(io.BytesIO(file)).convert("RGB").crop(box).resize(OUT, BICUBIC)

    def pillow() -> None:
        with ThreadPoolExecutor(CORES) as pool:
            for _ in pool.map(zoom, [(file, box) for file, each in zip(jpegs, regions, strict=True) for box in each]):
                pass

    works = {
        "ours": per_second(calls, lambda: open_and_zoom(jpegs, regions)),
        "Pillow, decoding per call": per_second(calls, pillow),
    }
    for name, server in servers.items():
        works[name] = partial(server.calls_per_second, jpegs, regions)
    figures = in_turns(works, given.repeats)
    decoding, resizing = alone(jpegs, regions)
    wanted = {"Pillow, decoding per call": 15.0, README: 40.0}
    return Row(
        "zoom with decoding",
        "calls/s",
        "higher",
        figures.pop("ours"),
        [Peer(name, each, wanted.get(name)) for name, each in figures.items()],
        bound_by="arithmetic on all cores: libjpeg-turbo, once for each file, and the resizes",
        physical=calls * CORES / (decoding + resizing),
        physical_is=f"the same work by one thread, shared by {CORES} cores: {1e3 * decoding / len(jpegs):.1f} ms to "
        f"decode a file, {1e3 * resizing / calls:.2f} ms to resize a region",
    )


def alone(jpegs: list[bytes], regions: list[list[Box]]) -> tuple[float, float]:
    """The seconds in which one thread decodes the files and resizes the regions."""
    decoding = min(seconds(lambda: [vf.Image.decode(file) for file in jpegs]) for _ in range(3))
    images = [vf.Image.decode(file) for file in jpegs]
    with vf.Engine(threads=1, cache_bytes=0) as engine:
        calls = [
            {"image": image, "box": box, "size": OUT, "filter": "bicubic"}
            for image, each in zip(images, regions, strict=True)
            for box in each
        ]
        resizing = min(seconds(lambda: engine.submit_many("image.zoom", calls).result()) for _ in range(3))
    return decoding, resizing


def decoded(pictures: list[Pixels], regions: list[list[Box]], given: Options) -> tuple[Row, list[Profile]]:
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
        profiles = profiled(given, "zoom of decoded Images", works["ours"])
    moved = 3 * sum((right - left) * (bottom - top) + OUT[0] * OUT[1] for _, (left, top, right, bottom) in pairs)
    row = Row(
        "zoom of decoded Images",
        "calls/s",
        "higher",
        figures["ours"],
        [Peer("Pillow", figures["Pillow"], 6.0), Peer("OpenCV", figures["OpenCV"], 1.2)],
        bound_by="the products of pixels and weights in the two passes of the resize; it equals Pillow's bit for bit",
        physical=len(pairs) * copy_bandwidth(threads=CORES) / moved,
        physical_is="reading the regions and writing the results at the speed of a copy on all cores",
    )
    return row, profiles


def per_second(calls: int, work: Callable[[], object]) -> Callable[[], float]:
    return lambda: calls / seconds(work)


def main() -> None:
    given = options(__doc__)
    files, each = (2, 2) if given.quick else (32, 16)
    pictures = photographs(files)
    jpegs = [jpeg(picture) for picture in pictures]
    regions = [boxes(each, seed) for seed in range(files)]
    with ExitStack() as stack:
        servers = {}
        if given.verl_tool is None:
            print("verl-tool: left out; give a checkout of it by --verl-tool")
        else:
            for name, workers in ((README, None), (TUNED, CORES)):
                servers[name] = stack.enter_context(ToolServer(given.verl_tool, given.verl_tool_python, workers))
        first = with_decoding(jpegs, regions, servers, given)
    profiles = profiled(given, "zoom with decoding", lambda: open_and_zoom(jpegs, regions))
    second, more = decoded(pictures, regions, given)
    finish([first, second], given, __file__, [*profiles, *more])


if __name__ == "__main__":
    main()
