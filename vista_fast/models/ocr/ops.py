"""The Ops ``ocr.detect`` and ``ocr.recognize``: text reading in two batched stages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import Precision, uses_own_kernels
from vista_fast.models.call_arguments import check_arguments
from vista_fast.models.loading import LoadedOnce, RegisteredOnce, on_device
from vista_fast.models.ocr.config import OcrConfig
from vista_fast.models.ocr.profiles import DETECT_BATCH, RECOGNIZE_BATCH
from vista_fast.models.ocr.reader import OcrModel, check_installed, detection_size, is_near, padded_width
from vista_fast.models.ocr.weights import character_file, detection_weights, recognition_weights
from vista_fast.models.weights import file_digest

if TYPE_CHECKING:
    from vista_fast.engine import Engine

Quad = npt.NDArray[np.float32]
"""Corners [4, 2] in an image's pixels, clockwise from the top left of the line."""

_SIDE_BY_SIDE = 2
"""Batches of an Op at the same time on kernels that share the cores among them: the networks of one are at work while
the Python of another is."""

_OWN_KERNELS = "+5"
"""Our own kernels in an Op's version; the number rises when what they give changes."""

_registered: RegisteredOnce[OcrConfig] = RegisteredOnce("reads text")


def register_ocr(engine: Engine, config: OcrConfig) -> None:
    """Give the engine two Ops; once per engine, repeating it with an equal config does nothing.

    What they need is checked now, and the networks are loaded with the first call.

    - ``ocr.detect(image)`` → ``{"quads": float32 [n, 4, 2], "scores": float32 [n]}``: the text lines of the whole image
      in reading order, corners clockwise from the top left, in the image's pixels. Batches images of one input size.
    - ``ocr.recognize(image, quad=(x0, y0, …, x3, y3))`` → ``{"text": str, "score": float}``: one line. Batches lines of
      one padded width, because padding takes part in recognition. Corners may lie outside of the image by its size.

    Raises:
        InvalidArgumentError: the engine already has them with another config, or the library does not run on that
            device here.
        MissingExtraError: the libraries are not installed.
        NotFoundError: the weights are not those that the libraries ship.
    """

    def add() -> None:
        check_installed(config)
        _register(engine, config)

    _registered.register(engine, config, add)


def _register(engine: Engine, config: OcrConfig) -> None:
    from vista_fast.engine import BatchPolicy, Op

    model = LoadedOnce(f"ocr on {config.library}", partial(OcrModel, config, threads=engine.threads))

    def input_size(call: Mapping[str, Any]) -> tuple[int, int]:
        return detection_size(call["image"].width, call["image"].height, config)

    def width(call: Mapping[str, Any], quad: Quad) -> int:
        return padded_width(call["image"].width, call["image"].height, quad, config)

    def key_of_image(call: Mapping[str, Any]) -> str:
        check_arguments(call, "ocr.detect")
        return "{}x{}".format(*input_size(call))

    def key_of_line(call: Mapping[str, Any]) -> int:
        check_arguments(call, "ocr.recognize", "quad")
        return width(call, _checked_quad(call, config))

    own_kernels = config.library == "openvino" and uses_own_kernels()
    at_once = _SIDE_BY_SIDE if own_kernels and (config.threads or engine.threads) > 1 else 1

    def version(precision: Precision, *files: Path | None) -> str:
        library = config.library + (_OWN_KERNELS if own_kernels else "")
        digests = "+".join(file_digest(file)[:16] for file in files if file is not None)
        return f"{digests}/{library}/{config.runs_on}/{precision}"

    engine.register(
        Op(
            "ocr.detect",
            version(config.detects_in, detection_weights(config.detector)),
            policy=BatchPolicy(max_batch=DETECT_BATCH, max_delay=0.005),
            run=on_device(config.runs_on, lambda calls: _detect(model.get(), calls)),
            concurrency=at_once,
            key=key_of_image,
            size=lambda call: math.prod(input_size(call)) / 1e6,
            timeout=config.timeout,
        )
    )
    engine.register(
        Op(
            "ocr.recognize",
            version(
                config.precision,
                recognition_weights(config.recogniser),
                character_file(config.recogniser, config.characters),
            ),
            policy=BatchPolicy(max_batch=RECOGNIZE_BATCH, max_delay=0.005),
            run=on_device(config.runs_on, lambda calls: _recognize(model.get(), calls)),
            concurrency=at_once,
            key=key_of_line,
            size=lambda call: width(call, _quad(call)) / 320,
            timeout=config.timeout,
        )
    )


def _detect(model: OcrModel, calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    found = model.detect([np.asarray(call["image"]) for call in calls])
    return [{"quads": quads, "scores": scores} for quads, scores in found]


def _recognize(model: OcrModel, calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    pixels = {call["image"].hash: np.asarray(call["image"]) for call in calls}
    lines = model.recognize([(pixels[call["image"].hash], _quad(call)) for call in calls])
    return [{"text": line.text, "score": line.score} for line in lines]


def _quad(call: Mapping[str, Any]) -> Quad:
    return np.asarray(call["quad"], np.float32).reshape(4, 2)


def _checked_quad(call: Mapping[str, Any], config: OcrConfig) -> Quad:
    """Raises InvalidArgumentError for what is no quad, or lies so far out that memory may not hold its line."""
    given, width, height = call.get("quad"), call["image"].width, call["image"].height
    try:
        quad = np.asarray(given, np.float32).reshape(4, 2)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgumentError(f"quad must be 8 numbers x0, y0, …, x3, y3 in pixels, got {given!r}") from error
    if all(0 <= x <= width and 0 <= y <= height for x, y in quad.tolist()):
        return quad
    if not np.isfinite(quad).all():
        raise InvalidArgumentError(f"quad must be 8 finite numbers x0, y0, …, x3, y3 in pixels, got {given!r}")
    if not is_near(width, height, quad, config):
        raise InvalidArgumentError(
            f"quad {given!r} lies far outside of the image of {width} x {height} pixels; give x from {-width} to "
            f"{2 * width} and y from {-height} to {2 * height}"
        )
    return quad
