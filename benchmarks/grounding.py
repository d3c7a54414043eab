"""Grounding DINO: eight calls through an engine beside transformers, which runs the same model eagerly, one by one.

The model has the true architecture and random weights, the size of its canvas is that of 4:3 photographs at the side
that is asked for, and images are decoded beforehand. Both sides resize and normalise, run the network on all cores in
f32 and post-process; transformers pads nothing. The engine has no cache, so that every call runs the network.
Needs the extras grounding and tasks.
"""

from __future__ import annotations

import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from _measuring import Options, Peer, Row, in_turns, options, seconds
from _pictures import Pixels, photographs
from _profile import profiled
from _table import finish
from _torchvision import torchvision

import vista_fast as vf
from vista_fast.models.grounding import GroundingConfig, GroundingDino, register_grounding
from vista_fast.models.grounding.dino import Query

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
from small_grounding_dino import save_small_model

CALLS = 8
CAPTIONS = ("a red flower. leaf.", "temple roof. person.", "a dog. the big red car.", "a man on a bench. tree.")
OURS = "vista_fast"
PEER = "transformers, eager, batch 1"


def calls(images: list[Pixels]) -> list[tuple[Pixels, str]]:
    return [(image, CAPTIONS[index % len(CAPTIONS)]) for index, image in enumerate(images)]


class Transformers:
    """One call after the other, as the documentation of the library has it."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import GroundingDinoForObjectDetection, GroundingDinoProcessor

        torch.set_num_threads(len(os.sched_getaffinity(0)))
        self._model: Any = GroundingDinoForObjectDetection.from_pretrained(folder).eval()
        self._processor = GroundingDinoProcessor.from_pretrained(folder)

    def __call__(self, given: list[tuple[Pixels, str]]) -> list[int]:
        import torch

        counts = []
        for pixels, caption in given:
            inputs = self._processor(images=pixels, text=caption, return_tensors="pt")
            with torch.inference_mode():
                outputs = self._model(**inputs)
            (found,) = self._processor.post_process_grounded_object_detection(
                outputs, inputs["input_ids"], threshold=0.35, text_threshold=0.25, target_sizes=[pixels.shape[:2]]
            )
            counts.append(len(found["scores"]))
        return counts


class Ours:
    """The Op through an engine without a cache, all calls at once."""

    def __init__(self, folder: Path) -> None:
        self.engine = vf.Engine(cache_bytes=0)
        register_grounding(self.engine, GroundingConfig(model=folder, max_batch=CALLS))

    def __call__(self, given: list[tuple[Pixels, str]]) -> list[int]:
        arguments = [
            {"image": self.engine.image(pixels), "caption": caption, "nms_threshold": 1.0} for pixels, caption in given
        ]
        return [len(found["scores"]) for found in self.engine.submit_many("grounding.detect", arguments).result()]


def network_alone(folder: Path, given: list[tuple[Pixels, str]]) -> float:
    """Seconds of the network for all calls, in one batch."""
    model = GroundingDino(folder, GroundingConfig())
    queries = [Query(*each) for each in given]
    model.detect(queries)
    canvas, tokens = model.batch_key(given[0][0].shape[1], given[0][0].shape[0], given[0][1])
    inputs = [model._inputs(query, tokens) for query in queries]
    batch = {name: np.stack([each[name] for each in inputs]) for name in inputs[0]}
    network = model._network(canvas)
    return min(seconds(lambda: network.run(batch)) for _ in range(5))


def row(folder: Path, given: Options, side: int) -> tuple[Row, Any]:
    asked = calls(photographs(CALLS))
    sides = {OURS: Ours(folder), PEER: Transformers(folder)}
    found = {name: work(asked) for name, work in sides.items()}
    print(f"boxes found: {found}")
    works = {name: lambda work=work: CALLS / seconds(lambda: work(asked)) for name, work in sides.items()}
    figures = in_turns(works, given.repeats)
    return Row(
        f"{CALLS} calls of Grounding DINO (small), images of {side} pixels",
        "calls/s",
        "higher",
        figures[OURS],
        [Peer(PEER, figures[PEER], at_least=2)],
        bound_by="the network, which runs on all cores",
        physical=CALLS / network_alone(folder, asked),
        physical_is="the network alone, in one batch",
    ), partial(sides[OURS], asked)


def main() -> None:
    given = options(__doc__, repeats=5)
    torchvision()  # before transformers imports it
    side = 96 if given.quick else 384
    with tempfile.TemporaryDirectory() as place:
        os.environ["VISTA_FAST_WEIGHTS"] = f"{place}/weights"
        folder = save_small_model(
            Path(place) / "grounding-dino-small", shortest_edge=side, longest_edge=round(side * 4 / 3)
        )
        figures, work = row(folder, given, side)
        finish([figures], given, __file__, profiled(given, figures.name, work))


if __name__ == "__main__":
    main()
