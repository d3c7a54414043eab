"""Grounding DINO (arXiv 2303.05499) in plain calls, without an engine."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vista_fast.errors import AbortedError, InvalidArgumentError
from vista_fast.models.backend import Model, open_model, usable_cores
from vista_fast.models.grounding.boxes import Boxes, Scores, corners, sigmoid, without_doubles
from vista_fast.models.grounding.canvas import Sizing
from vista_fast.models.grounding.caption import CaptionReader
from vista_fast.models.grounding.config import GroundingConfig
from vista_fast.models.grounding.eager import eager_network
from vista_fast.models.grounding.export import INPUTS, ExportError, exported
from vista_fast.models.grounding.profiles import grounding_profiles
from vista_fast.models.loading import current_gpu
from vista_fast.models.made_network import open_made

Pixels = npt.NDArray[np.uint8]
"""[H, W, 3] RGB."""
_TYPE = "grounding-dino"


@dataclass(frozen=True, slots=True)
class Detections:
    """What was found in an image.

    Attributes:
        boxes: float32 [n, 4], left, top, right, bottom in the image's pixels; may reach out of it.
        scores: float32 [n] in [0, 1], of each box's best token or class.
        phrases: the words of each box.
    """

    boxes: Boxes
    scores: Scores
    phrases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """One call: an image, what to find in it, and what a box needs to be kept.

    Attributes:
        pixels: uint8 [H, W, 3] RGB.
        caption: words for things, each followed by a full stop.
        box_threshold: score above which a box is kept, in [0, 1].
        text_threshold: score above which a token of the caption belongs to a box's phrase, in [0, 1].
        nms_threshold: of two boxes that overlap by more (intersection over union) the better is kept; None keeps both.
    """

    pixels: Pixels
    caption: str
    box_threshold: float = 0.35
    text_threshold: float = 0.25
    nms_threshold: float | None = None


def check_bound(config: GroundingConfig) -> None:
    """That it finds what transformers finds. Raises InvalidArgumentError for another precision than f32."""
    if config.precision != "f32":
        raise InvalidArgumentError(
            f"Grounding DINO runs in f32 only, where it finds what transformers finds, got precision "
            f"{config.precision!r}; leave precision out, or take model='coco'"
        )


class GroundingDino:
    """The network of one folder. Safe to call from several threads."""

    def __init__(self, folder: Path, config: GroundingConfig | None = None, *, threads: int | None = None) -> None:
        """Reads the tokenizer; networks are exported and loaded when a canvas of their size comes first.

        Args:
            folder: as ``find_grounding_dino`` gives it.
            config: how it runs.
            threads: the budget where ``config.threads`` is None; its default is all cores.

        Raises:
            InvalidArgumentError: the folder has another model, or a file of it can't be read, or the config asks for
                another precision than f32.
            MissingExtraError: torch or transformers is not installed.
        """
        self.config = config = config or GroundingConfig()
        check_bound(config)
        self._max_tokens = _longest_caption(folder)
        self.sizing = sizing_of(folder, config)
        self.reader = CaptionReader(folder, self._max_tokens)
        self._folder = folder
        self._threads = config.threads or threads or usable_cores()
        self._networks: dict[tuple[int, int], Model] = {}
        self._eager: Model | None = None
        self._lock = threading.Lock()
        self._gpu = current_gpu()

    def batch_key(self, width: int, height: int, caption: str) -> tuple[tuple[int, int], int]:
        """Calls with one key can share a batch: the canvas's height and width, and the padded number of tokens.

        Raises InvalidArgumentError for a caption that the network can't take.
        """
        return self.sizing.canvas(height, width), self.reader.padded_length(caption)

    def detect(self, queries: Sequence[Query]) -> list[Detections]:
        """What each query finds, best first. The queries must have one batch key."""
        keys = {self.batch_key(query.pixels.shape[1], query.pixels.shape[0], query.caption) for query in queries}
        if len(keys) != 1:
            raise InvalidArgumentError(f"queries of one batch must have one canvas and padded length, got {keys}")
        ((canvas, tokens),) = keys
        with ThreadPoolExecutor(min(self._threads, len(queries))) as pool:  # resizing lets go of the GIL
            inputs = list(pool.map(lambda query: self._inputs(query, tokens), queries))
        outputs = self._network(canvas).run({name: np.stack([each[name] for each in inputs]) for name in INPUTS})
        return [
            self._kept(query, each, logits, boxes)
            for query, each, logits, boxes in zip(queries, inputs, outputs["logits"], outputs["boxes"], strict=True)
        ]

    def _inputs(self, query: Query, tokens: int) -> dict[str, npt.NDArray[Any]]:
        pixels, covered = self.sizing.lay(query.pixels)
        words = self.reader.read(query.caption).padded(tokens)
        return {"pixels": pixels, "covered": np.array(covered, np.int64), **words}

    def _network(self, canvas: tuple[int, int]) -> Model:
        with self._lock:
            known = self._networks.get(canvas, self._eager)
            if known is None:
                known = self._networks[canvas] = self._load(canvas)
            return known

    def _load(self, canvas: tuple[int, int]) -> Model:
        """That it can't be loaded says nothing about the call that came first: AbortedError, the next tries again."""
        try:
            with self._gpu:
                return self._opened(canvas)
        except Exception as error:
            raise AbortedError(
                f"the network in {self._folder} could not be loaded on {self.config.library} ({error}); "
                "`vista-fast doctor` says what is installed"
            ) from error

    def _opened(self, canvas: tuple[int, int]) -> Model:
        library, device = self.config.library, self.config.device
        if library != "torch":
            load = partial(
                open_model,
                backend=library,
                threads=self._threads,
                device=device,
                profiles=grounding_profiles(canvas, self.config.max_batch, self._max_tokens),
            )
            with contextlib.suppress(ExportError):
                return open_made(partial(exported, self._folder, canvas), load)
        self._eager = eager_network(self._folder, self.config.runs_on)
        return self._eager

    def _kept(
        self,
        query: Query,
        inputs: dict[str, npt.NDArray[Any]],
        logits: npt.NDArray[np.float32],
        boxes: npt.NDArray[np.float32],
    ) -> Detections:
        scores = sigmoid(logits.max(axis=1))
        kept = np.flatnonzero(scores > query.box_threshold)
        kept = kept[np.argsort(-scores[kept], kind="stable")]
        height, width = query.pixels.shape[:2]
        # Fractions of what the image covers of the canvas, which are those of the image.
        found = corners(boxes[kept], width, height)
        if query.nms_threshold is not None:
            stays = without_doubles(found, scores[kept], query.nms_threshold)
            kept, found = kept[stays], found[stays]
        phrases = self._phrases(logits[kept], inputs["input_ids"], query.text_threshold)
        return Detections(found, scores[kept], phrases)

    def _phrases(
        self, logits: npt.NDArray[np.float32], ids: npt.NDArray[np.int64], threshold: float
    ) -> tuple[str, ...]:
        chosen = sigmoid(logits) > threshold
        # The first and the last place of the longest caption never belong to a phrase.
        chosen[:, [0, -1]] = False
        return tuple(self.reader.phrase(tuple(ids[np.flatnonzero(row)].tolist())) for row in chosen)


def sizing_of(folder: Path, config: GroundingConfig) -> Sizing:
    """How the model in a folder wants its images, but for what the config sets."""
    found = _image_settings(folder)
    size = found.get("size") or {}
    return Sizing(
        config.shortest_edge or size.get("shortest_edge", 800),
        config.longest_edge or size.get("longest_edge", 1333),
        tuple(found.get("image_mean", (0.485, 0.456, 0.406))),
        tuple(found.get("image_std", (0.229, 0.224, 0.225))),
        config.padding,
    )


def _image_settings(folder: Path) -> dict[str, Any]:
    alone, together = folder / "preprocessor_config.json", folder / "processor_config.json"
    if alone.is_file():
        return _settings(alone)
    if together.is_file():
        return dict(_settings(together).get("image_processor") or {})
    return {}


def _longest_caption(folder: Path) -> int:
    """Tokens that the network in a folder takes at most. Raises InvalidArgumentError where that is no Grounding DINO:
    transformers would load another model's weights as far as they go."""
    settings = _settings(folder / "config.json")
    if settings.get("model_type") != _TYPE:
        raise InvalidArgumentError(
            f"{folder} has a model of the type {settings.get('model_type')!r}, wanted {_TYPE!r}; give the folder of a "
            "Grounding DINO"
        )
    return int(settings.get("max_text_len") or 256)


def _settings(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, ValueError) as error:
        raise InvalidArgumentError(f"{path} can't be read ({error}); get the model again") from error
