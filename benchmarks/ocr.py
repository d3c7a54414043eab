"""Reading pictures: the ocr tool through an engine beside RapidOCR on ONNX Runtime and on OpenVINO, images per second.

All read the same 64 pictures, 29 real and 35 drawn, decoded beforehand, on all cores, with the same weights and limits
(RapidOCR's defaults). RapidOCR reads them one after the other with its networks on all cores, or in a thread pool with
one instance and one thread per core; for each of its backends the faster of the two, by a trial, takes part.

- f32: every text must be the same as ours, else the benchmark fails. On a CPU with AMX ours multiplies by three
  products of bfloat16 each, in kernels of our own (VISTA_FAST_OWN_KERNELS).
- bf16, where the CPU computes in it: how many characters differ from f32 is a row of its own. RapidOCR comes in f32, as
  its users have it on ONNX Runtime, and in the precision that OpenVINO then chooses by itself. Ratios are wanted where
  the CPU has AMX.
- GRPO: 16 of the pictures, each asked for by 8 rollouts at once, in f32 and in bf16. Ours runs with its cache, which no
  repeat shares with another. RapidOCR reads for 2 of the 8 rollouts: it shares nothing, so that the others cost as much
  each.

RapidOCR on ONNX Runtime reads a quarter of the 64 in each repeat, EasyOCR an eighth, another one each time; the parts
are of about equal work. Needs the extras bench and tasks; EasyOCR takes part where it is installed.
"""

from __future__ import annotations

import asyncio
import difflib
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from _measuring import Options, Peer, Profile, Row, in_turns, options, seconds
from _ocr_peers import CORES, Page, Read, easyocr, fastest_rapidocr
from _profile import profiled
from _readable import pictures, receipt
from _table import finish

import vista_fast as vf
from vista_fast.models.backend import Classifier, Precision, native_precision, open_model, run_single, uses_own_kernels
from vista_fast.models.ocr import OcrConfig, OcrModel
from vista_fast.models.ocr.profiles import RECOGNIZE_BATCH
from vista_fast.models.ocr.reader import detection_size, padded_width
from vista_fast.models.ocr.weights import detection_weights, recognition_weights

PICTURES, GROUP, ROLLOUTS, ROLLOUTS_OF_PEERS = 64, 16, 8, 2
NOTHING = "No text found in the image."
ARITHMETIC = "the networks' operations for each different picture once, at the speed of a large matrix product"
PER_PIXEL, PER_COLUMN = 21.2e3, 6.2e6
"""Operations of detection per pixel of its input, and of recognition per column of its own."""
MOST_DIFFERENT = 0.5
"""Percent of the characters."""

CONFIGS = {
    "f32": OcrConfig(),
    "bf16": OcrConfig(precision="bf16"),
}


def ours(config: OcrConfig, cache_bytes: int = 0) -> Read:
    """The ocr tool through an engine, all pages at once."""
    engine = vf.Engine(cache_bytes=cache_bytes)
    toolbox = vf.Toolbox.default(engine, ocr=config)

    async def read_all(pages: Sequence[Page]) -> list[str]:
        images = [engine.image(page) for page in pages]
        seen = await asyncio.gather(*(toolbox.call(vf.ToolCall("ocr"), images=[image]) for image in images))
        return ["" if observation.text == NOTHING else observation.text for observation in seen]

    def read(pages: Sequence[Page]) -> list[str]:
        return asyncio.run(read_all(pages))

    read([receipt(0)])
    return read


class Inputs:
    """What the networks are given for pages: sizes (width, height) of detection's inputs, widths of recognition's."""

    def __init__(self, pages: Sequence[Page]) -> None:
        config = OcrConfig()
        finder = OcrModel(config, threads=CORES)
        self.sizes: list[tuple[int, int]] = []
        self.widths: list[list[int]] = []
        for page in pages:
            height, width = page.shape[:2]
            self.sizes.append(detection_size(width, height, config))
            quads = finder.detect([page])[0][0]
            self.widths.append([padded_width(width, height, quad, config) for quad in quads])

    def parts(self, number: int) -> list[list[int]]:
        """So many disjoint sets of indices of about equal work, by dealing from the most work to the least."""
        work = [sum(each) for each in self._operations()]
        order = sorted(range(len(work)), key=lambda index: -work[index])
        there_and_back = [*range(number), *reversed(range(number))]
        dealt: list[list[int]] = [[] for _ in range(number)]
        for place, index in enumerate(order):
            dealt[there_and_back[place % (2 * number)]].append(index)
        return dealt

    def _operations(self) -> list[tuple[float, float]]:
        """Of detection and of recognition, for each page."""
        return [
            (PER_PIXEL * wide * high, PER_COLUMN * sum(lines))
            for (wide, high), lines in zip(self.sizes, self.widths, strict=True)
        ]

    def least_seconds(self, first: int, config: OcrConfig) -> float:
        """In which the operations for the first pages could run at the speed of a large matrix product."""
        finding, reading = (sum(each) for each in zip(*self._operations()[:first], strict=True))
        return finding / product_speed(config.detects_in) + reading / product_speed(config.precision)

    def networks_alone(self, first: int, config: OcrConfig) -> float:
        """Seconds in which the two networks run over inputs as the first pages', on all cores."""
        load = partial(open_model, backend=config.library, threads=CORES)
        detection = partial(run_single, load(detection_weights(), precision=config.detects_in))
        recognition = Classifier(load(recognition_weights(), precision=config.precision, logits=True)).run
        works: list[tuple[Callable[[Any], Any], tuple[int, ...]]] = [
            (detection, (1, 3, high, wide)) for wide, high in self.sizes[:first]
        ]
        lines: dict[int, int] = defaultdict(int)
        for width in (width for widths in self.widths[:first] for width in widths):
            lines[width] += 1
        for width, number in lines.items():
            for start in range(0, number, RECOGNIZE_BATCH):
                works.append((recognition, (min(RECOGNIZE_BATCH, number - start), 3, 48, width)))
        batches = [(network, np.zeros(shape, np.float32)) for network, shape in works]
        return min(seconds(lambda: [network(batch) for network, batch in batches]) for _ in range(2))


class Reading:
    """A reader's turns over parts of the pages, and the texts that it has read."""

    def __init__(self, name: str, read: Read, pages: Sequence[Page], parts: Sequence[Sequence[int]]) -> None:
        self.name, self.texts = name, dict[int, str]()
        self._read, self._pages, self._parts, self._turns = read, pages, parts, count()

    def turn(self) -> float:
        """Reads the next part; gives images per second."""
        part = self._parts[next(self._turns) % len(self._parts)]
        pages = [self._pages[index] for index in part]
        texts: list[str] = []
        taken = seconds(lambda: texts.extend(self._read(pages)))
        self.texts.update(zip(part, texts, strict=True))
        return len(pages) / taken

    def check_same(self, other: Reading) -> None:
        """Fails the benchmark where both have read a page, and have read it differently."""
        both = sorted(self.texts.keys() & other.texts.keys())
        different = [index for index in both if self.texts[index] != other.texts[index]]
        print(f"{other.name} reads {len(both) - len(different)} of {len(both)} pictures as {self.name} does")
        if different:
            index = different[0]
            raise SystemExit(f"picture {index}: {self.texts[index]!r}, and {other.name} reads {other.texts[index]!r}")

    def share_different(self, other: Reading) -> float:
        """Percent of the characters of ours that are not those of the other."""
        pairs = [(self.texts[index], other.texts[index]) for index in self.texts]
        return 100 * sum(edits(one, two) for one, two in pairs) / max(sum(len(one) for one, _ in pairs), 1)


def edits(one: str, other: str) -> int:
    """Characters to replace, add or leave out that make one text the other; no fewer than needed."""
    steps = difflib.SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    return sum(max(to - at, until - start) for kind, at, to, start, until in steps if kind != "equal")


def throughput(
    pages: Sequence[Page], inputs: Inputs, peers: dict[str, Read], low_peers: dict[str, Read], given: Options
) -> list[Row]:
    """The rows of different pictures."""
    whole, quarters, eighths = [list(range(len(pages)))], inputs.parts(4), inputs.parts(8)
    readings = {mine: Reading(f"ours, {mine}", ours(CONFIGS[mine]), pages, whole) for mine in precisions(given)}
    for name, read in (low_peers | peers).items():
        parts = quarters if "ONNX Runtime" in name else eighths if name == "EasyOCR" else whole
        readings[name] = Reading(name, read, pages, parts if not given.quick else whole)
    figures = in_turns({name: reading.turn for name, reading in readings.items()}, given.repeats)
    for name, reading in readings.items():
        if name in peers and name != "EasyOCR":
            readings["f32"].check_same(reading)
    rows = [row(f"ocr of {len(pages)} pictures, f32", figures, "f32", [*peers], (3.5, 1.25), len(pages), inputs)]
    if "bf16" in readings:
        different = readings["f32"].share_different(readings["bf16"])
        beside, wanted = [*low_peers, *peers], (6.0, 2.0) if has_amx() else (None, None)
        rows.append(row(f"ocr of {len(pages)} pictures, bf16", figures, "bf16", beside, wanted, len(pages), inputs))
        rows.append(Row("characters otherwise than in f32, bf16", "%", "lower", [different], limit=MOST_DIFFERENT))
    return rows


def group(
    pages: Sequence[Page], inputs: Inputs, peers: dict[str, Read], low_peers: dict[str, Read], given: Options
) -> list[Row]:
    """The rows of pictures that a GRPO group asks for."""
    rollouts = 2 if given.quick else ROLLOUTS
    asked_of_peers = [page for _ in range(ROLLOUTS_OF_PEERS) for page in pages]
    works = {mine: group_turn(mine, pages, rollouts) for mine in precisions(given)}
    pools = {name: read for name, read in peers.items() if name != "EasyOCR"}
    for name, read in (low_peers | pools).items():
        works[name] = lambda read=read: len(asked_of_peers) / seconds(lambda: read(asked_of_peers))
    figures = in_turns(works, given.repeats)
    name = f"ocr of {len(pages)} pictures by {rollouts} rollouts each (GRPO)"
    rows = [row(f"{name}, f32", figures, "f32", [*pools], (25, 9), len(pages), inputs, rollouts)]
    if "bf16" in figures:
        beside = [*low_peers, *pools]
        rows.append(row(f"{name}, bf16", figures, "bf16", beside, (None, None), len(pages), inputs, rollouts))
    return rows


def group_turn(mine: str, pages: Sequence[Page], rollouts: int) -> Callable[[], float]:
    """Reads the pages for all rollouts at once; gives images per second. Fails the benchmark where one of the rollouts
    reads otherwise than one that asks alone."""
    reader, alone, turns = ours(CONFIGS[mine], cache_bytes=256 << 20), ours(CONFIGS[mine]), count(1)

    def turn() -> float:
        group = [marked(page, next_turn) for next_turn in [next(turns)] for page in pages]
        asked = [page.copy() for _ in range(rollouts) for page in group]
        texts: list[str] = []
        taken = seconds(lambda: texts.extend(reader(asked)))
        if texts != alone(group) * rollouts:
            raise SystemExit(f"the rollouts of a group, in {mine}, do not all read what one reads")
        return len(asked) / taken

    return turn


def precisions(given: Options) -> list[str]:
    """Those of ours that take part."""
    return ["f32", "bf16"] if native_precision() == "bf16" and not given.quick else ["f32"]


def marked(page: Page, turn: int) -> Page:
    """The page with another value in the first pixel, so that no repeat finds another's results in the cache."""
    copy = page.copy()
    copy[0, 0, 0] ^= turn % 8
    return copy


def row(
    name: str,
    figures: dict[str, list[float]],
    mine: str,
    peers: Sequence[str],
    wanted: tuple[float | None, float | None],
    pages: int,
    inputs: Inputs,
    rollouts: int = 1,
) -> Row:
    """``wanted``: at least how many times RapidOCR's speed, on ONNX Runtime and on OpenVINO in whichever precision."""

    def at_least(peer: str) -> float | None:
        return wanted[0] if "ONNX Runtime" in peer else wanted[1] if "OpenVINO" in peer else None

    config, images = CONFIGS[mine], pages * rollouts
    alone = images / inputs.networks_alone(pages, config)
    bound = f"the two networks, which alone, in the engine's batches, give {alone:.3g} images/s on all cores"
    limit = images / inputs.least_seconds(pages, config)
    beside = [Peer(peer, figures[peer], at_least(peer)) for peer in peers]
    return Row(
        name, "images/s", "higher", figures[mine], beside, bound_by=bound, physical=limit, physical_is=ARITHMETIC
    )


@cache
def product_speed(precision: Precision, side: int = 2048) -> float:
    """Operations a second of a product of two square matrices on all cores. In f32 on a CPU with AMX it is the one by
    three products of bf16, as our own kernels have it, where that is faster."""
    if precision == "f32" and uses_own_kernels():
        return max(matrix_speed("f32", side), matrix_speed("bf16", side) / 3)
    return matrix_speed(precision, side)


def matrix_speed(precision: Precision, side: int) -> float:
    import torch

    torch.set_num_threads(CORES)
    matrix = torch.ones((side, side), dtype=torch.float32 if precision == "f32" else torch.bfloat16)
    return 2 * side**3 / min(seconds(lambda: matrix @ matrix) for _ in range(9))


def has_amx() -> bool:
    return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")


def main() -> None:
    given = options(__doc__, repeats=5)
    pages = pictures(PICTURES)[-1:] if given.quick else pictures(PICTURES)
    inputs = Inputs(pages)
    trial = [pages[index] for index in inputs.parts(8)[0]] or pages
    peers = dict(fastest_rapidocr(backend, trial) for backend in ("ONNX Runtime", "OpenVINO"))
    if not given.quick and (reader := easyocr()) is not None:
        peers["EasyOCR"] = reader
    low_peers = dict([fastest_rapidocr("OpenVINO", trial, "its own")] if "bf16" in precisions(given) else [])
    rows = throughput(pages, inputs, peers, low_peers, given)
    few = pages[:: max(len(pages) // GROUP, 1)]
    rows.extend(group(few, Inputs(few), peers, low_peers, given))
    profiles: list[Profile] = profiled(given, f"ocr of {len(few)} pictures", partial(ours(CONFIGS["f32"]), few))
    finish(rows, given, __file__, profiles)


if __name__ == "__main__":
    main()
