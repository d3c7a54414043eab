"""The input of Qwen2.5-VL's vision encoder: image.preprocess beside transformers' image processors, on all cores.

Decoded pictures in one call of each processor, results in float32, nothing cached. transformers has two processors: the
Pillow backend, which ours equals within 1e-5, and the torchvision backend, with all of torch's threads. "installed" is
our Op behind transformers' own interface (``vista_fast.integrations.transformers``), which hashes each picture on top.
Needs the extra bench.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from _limits import copy_bandwidth
from _measuring import Options, Peer, Row, in_turns, options, seconds
from _pictures import Pixels, photographs
from _profile import profiled
from _table import finish
from _torchvision import torchvision
from PIL import Image as PilImage

import vista_fast as vf

CORES = len(os.sched_getaffinity(0))
Process = Callable[[], Any]


def torchvision_backend(planes: list[torch.Tensor]) -> Process:
    """The processor over uint8 tensors [3, height, width], the input that it is fastest on."""
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor as Fast

    processor = Fast()
    return lambda: processor(images=planes, return_tensors="pt")["pixel_values"]


def row(engine: vf.Engine, pictures: list[Pixels], with_torchvision: bool, given: Options) -> Row:
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    from vista_fast.integrations.transformers import Qwen2VLImageProcessor

    images = [vf.Image.from_array(each) for each in pictures]
    pillows = [PilImage.fromarray(each) for each in pictures]
    calls = [{"image": image} for image in images]
    backend, installed = Qwen2VLImageProcessorPil(), Qwen2VLImageProcessor()
    runs: dict[str, Process] = {
        "ours": lambda: engine.submit_many("image.preprocess", calls).result(),
        "ours, installed": lambda: installed(images=pillows, return_tensors="pt")["pixel_values"],
        "transformers, Pillow": lambda: backend(images=pillows, return_tensors="pt")["pixel_values"],
    }
    planes = [torch.from_numpy(each).permute(2, 0, 1).contiguous() for each in pictures]
    if with_torchvision:
        runs["transformers, torchvision"] = torchvision_backend(planes)
    ours = np.concatenate([np.asarray(result["pixel_values"]) for result in runs["ours"]()])
    difference = float(np.abs(ours - np.asarray(runs["transformers, Pillow"]())).max())
    assert difference < 1e-5, f"ours differs from the Pillow backend by {difference}"

    def milliseconds(run: Process) -> Callable[[], float]:
        return lambda: 1e3 * seconds(run) / len(pictures)

    figures = in_turns({name: milliseconds(run) for name, run in runs.items()}, given.repeats)
    height, width = pictures[0].shape[:2]
    moved = sum(each.nbytes for each in pictures) + ours.nbytes
    return Row(
        f"preprocess {width} × {height} for Qwen2.5-VL, {len(pictures)} pictures",
        "ms a picture",
        "lower",
        figures.pop("ours"),
        [Peer(name, each, None if name == "ours, installed" else 8.0) for name, each in figures.items()],
        bound_by="arithmetic and memory by turns: a resize, then float32 patches, each written twice for the encoder",
        physical=1e3 * moved / copy_bandwidth(threads=CORES) / len(pictures),
        physical_is="reading the pictures and writing the patches at the speed of a copy on all cores",
    )


def main() -> None:
    given = options(__doc__)
    with_torchvision = torchvision() is not None  # before transformers imports it
    from vista_fast.integrations.transformers import install

    torch.set_num_threads(CORES)
    pictures = photographs(1 if given.quick else 16)
    small = [np.asarray(PilImage.fromarray(each).resize((640, 480))) for each in pictures]
    with vf.Engine(cache_bytes=0) as engine:
        install(engine)
        rows = [row(engine, each, with_torchvision, given) for each in ([small] if given.quick else [small, pictures])]
        calls = [{"image": vf.Image.from_array(each)} for each in pictures]
        size = f"{pictures[0].shape[1]} × {pictures[0].shape[0]}"
        profiles = profiled(given, f"preprocess {size}", lambda: engine.submit_many("image.preprocess", calls).result())
    finish(rows, given, __file__, profiles)


if __name__ == "__main__":
    main()
