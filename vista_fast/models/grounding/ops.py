"""Grounding as an Op of an engine: Grounding DINO where it is on this machine, else the detector of COCO's classes."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vista_fast.errors import InvalidArgumentError, MissingExtraError, NotFoundError, VistaError
from vista_fast.models.backend import check_backend
from vista_fast.models.call_arguments import check_arguments, one_for_all
from vista_fast.models.grounding import coco, dino
from vista_fast.models.grounding.coco import CocoDetector
from vista_fast.models.grounding.config import GroundingConfig
from vista_fast.models.grounding.dino import Detections, GroundingDino, Query
from vista_fast.models.grounding.found import GET, find_grounding_dino
from vista_fast.models.loading import LoadedOnce, on_device
from vista_fast.models.onnx_files import onnx_package

if TYPE_CHECKING:
    from vista_fast.engine import Engine

DETECT, COCO = "grounding.detect", "grounding.coco"

THRESHOLDS = {"box_threshold": 0.35, "text_threshold": 0.25, "nms_threshold": 0.8}
"""What ``grounding.detect`` takes beside the caption, with the values that hold where a call gives none."""


@dataclass(frozen=True, slots=True)
class Grounder:
    """What answers on an engine: the Op's name, and the name of its model."""

    op: str
    model: str


_registered: weakref.WeakKeyDictionary[Engine, tuple[GroundingConfig, Grounder]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def register_grounding(engine: Engine, config: GroundingConfig) -> Grounder:
    """Give the engine one of two Ops; once per engine, repeating it with an equal config does nothing.

    What it needs is checked now; the network is exported, where it is not yet, and loaded with the first call.

    - ``grounding.detect(image, caption=, box_threshold=.35, text_threshold=.25, nms_threshold=.8)`` where a Grounding
      DINO is on this machine. Batches calls of one canvas and padded number of tokens. A caption that is empty or
      longer than the model takes (256 tokens) is an InvalidArgumentError.
    - ``grounding.coco(image)`` else: everything of COCO's 80 classes that scores at least 0.05.

    Both give ``{"boxes": float32 [n, 4], "scores": float32 [n], "phrases": [str, …], "model": str}``, best first;
    boxes are left, top, right, bottom in the image's pixels.

    Raises:
        InvalidArgumentError: the engine already grounds with another config, the library does not run on that device
            here or the model not in that precision, or the folder has another model or a file that can't be read.
        MissingExtraError: the libraries are not installed.
        NotFoundError: the model that the config names is not on this machine, or none is.
    """
    with _lock:
        if engine in _registered:
            known, grounder = _registered[engine]
            if known != config:
                raise InvalidArgumentError(
                    f"this engine already grounds with {known}; make another Engine for {config}"
                )
            return grounder
        grounder = _register(engine, config)
        _registered[engine] = config, grounder
        return grounder


def _register(engine: Engine, config: GroundingConfig) -> Grounder:
    folder = _folder(config)
    _check_runs(config, folder)
    if folder is None:
        grounder = Grounder(COCO, coco.NAME)
        _register_coco(engine, config, grounder.model)
        return grounder
    grounder = Grounder(DETECT, _model_name(folder))
    _register_dino(engine, config, grounder.model, GroundingDino(folder, config, threads=engine.threads))
    return grounder


def _folder(config: GroundingConfig) -> Path | None:
    """Of the Grounding DINO that answers; None where the closed vocabulary does."""
    return None if config.model == "coco" else find_grounding_dino(config.model)


def _check_runs(config: GroundingConfig, folder: Path | None) -> None:
    if folder is None:
        check_backend(config.coco_library, config.device, config.precision)
        coco.check_bound(config)
        coco.check_here()
        return
    dino.check_bound(config)
    if config.library != "torch" or config.device == "cuda":
        check_backend(config.library, config.device)
    if config.library != "torch":
        onnx_package()


def why_not_here(config: GroundingConfig | None = None) -> str | None:
    """Why ``register_grounding`` would refuse the config here; None where it would not."""
    config = config or GroundingConfig()
    try:
        _check_runs(config, _folder(config))
    except VistaError as error:
        return str(error)
    return None


def which_answers(config: GroundingConfig | None = None) -> tuple[str | None, str]:
    """The name of the model that ``register_grounding`` would take here, and why; None where there is none. Loads
    nothing, but reads the files whose SHA-256 is known."""
    config = config or GroundingConfig()
    try:
        folder = _folder(config)
        if folder is not None:
            return _model_name(folder), f"it is in {folder}"
        coco.check_here()
    except (MissingExtraError, NotFoundError) as error:
        return None, f"no Grounding DINO is here (`{GET}` gets one), and {error}"
    if config.model == "coco":
        return coco.NAME, "it is asked for"
    return coco.NAME, f"80 kinds of things: no Grounding DINO is here; `{GET}` gets one"


def _model_name(folder: Path) -> str:
    """The folder's; in the hub's cache, where that is a revision's, the one on the hub."""
    if folder.parent.name == "snapshots":
        return folder.parents[1].name.removeprefix("models--").replace("--", "/")
    return folder.name


def _register_dino(engine: Engine, config: GroundingConfig, name: str, model: GroundingDino) -> None:
    from vista_fast.engine import BatchPolicy, Op

    def canvas_and_tokens(call: Mapping[str, Any]) -> tuple[tuple[int, int], int]:
        return model.batch_key(call["image"].width, call["image"].height, _caption(call))

    def run(calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [_result(each, name) for each in model.detect([_query(call) for call in calls])]

    def key(call: Mapping[str, Any]) -> str:
        check_arguments(call, DETECT, "caption", *THRESHOLDS)
        _thresholds(call)
        (width, height), tokens = canvas_and_tokens(call)
        return f"{width}x{height}/{tokens}"

    engine.register(
        Op(
            DETECT,
            f"{name}/{config.library}/{config.runs_on}/f32{'' if config.padding else '/unpadded'}",
            policy=BatchPolicy(max_batch=config.max_batch, max_delay=0.005),
            run=on_device(config.runs_on, run),
            key=key,
            size=lambda call: math.prod(canvas_and_tokens(call)[0]) / 1e6,
            timeout=config.timeout,
        )
    )


def _register_coco(engine: Engine, config: GroundingConfig, name: str) -> None:
    from vista_fast.engine import BatchPolicy, Op

    model = LoadedOnce("grounding", partial(CocoDetector, config, threads=engine.threads))

    def run(calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [_result(each, name) for each in model.get().detect([np.asarray(call["image"]) for call in calls])]

    engine.register(
        Op(
            COCO,
            f"{name}/{config.coco_library}/{config.runs_on}/{config.precision}",
            policy=BatchPolicy(max_batch=config.max_batch, max_delay=0.005),
            run=on_device(config.runs_on, run),
            key=one_for_all(COCO),
            timeout=config.timeout,
        )
    )


def _result(found: Detections, model: str) -> dict[str, Any]:
    return {"boxes": found.boxes, "scores": found.scores, "phrases": list(found.phrases), "model": model}


def _caption(call: Mapping[str, Any]) -> str:
    caption = call.get("caption")
    if not isinstance(caption, str):
        raise InvalidArgumentError(f"caption must be a string, got {caption!r}")
    return caption


def _query(call: Mapping[str, Any]) -> Query:
    return Query(np.asarray(call["image"]), _caption(call), *_thresholds(call))


def _thresholds(call: Mapping[str, Any]) -> list[float]:
    given = THRESHOLDS | {name: call[name] for name in THRESHOLDS if name in call}
    for name, value in given.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
            raise InvalidArgumentError(f"{name} must lie in [0, 1], got {value!r}")
    return [float(value) for value in given.values()]
