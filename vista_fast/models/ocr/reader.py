"""Both stages in plain calls, without an engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import (
    Classifier,
    Dimensions,
    Model,
    check_backend,
    check_signature,
    open_model,
    usable_cores,
)
from vista_fast.models.ocr import detection, recognition
from vista_fast.models.ocr.config import OcrConfig
from vista_fast.models.ocr.frame import Frame
from vista_fast.models.ocr.profiles import detection_profiles, recognition_profiles
from vista_fast.models.ocr.recognition import Line
from vista_fast.models.ocr.weights import character_file, detection_weights, recognition_weights

Pixels = npt.NDArray[np.uint8]
"""[H, W, 3] RGB."""


@dataclass(frozen=True, slots=True)
class TextLine:
    """A line of text in an image: its quad [4, 2] in the image's pixels, text, and score in [0, 1]."""

    quad: npt.NDArray[np.float32]
    text: str
    score: float


class OcrModel:
    """The two networks, loaded. Safe to call from several threads."""

    def __init__(self, config: OcrConfig | None = None, *, threads: int | None = None) -> None:
        """Load the networks. ``threads`` is the budget where ``config.threads`` is None; its default is all cores.

        Raises:
            InvalidArgumentError: a file is of another network, or the characters are not the recogniser's.
        """
        self.config = config = config or OcrConfig()
        load = partial(
            open_model,
            backend=config.library,
            device=config.device,
            threads=config.threads or threads or usable_cores(),
        )
        detector, recogniser = detection_weights(config.detector), recognition_weights(config.recogniser)
        self._detection = load(detector, precision=config.detects_in, profiles=detection_profiles(config))
        _check(self._detection, detector, (None, 3, None, None), (None, 1, None, None))
        classes = load(recogniser, precision=config.precision, profiles=recognition_profiles(config), logits=True)
        _check(classes, recogniser, (None, 3, recognition.LINE_HEIGHT, None), (None, None, None))
        self._recognition = Classifier(classes)
        # A CPU's caches hold the values between the layers of one page, not of more.
        self._at_once = 1 if config.runs_on == "cpu" else None
        self._charset = recognition.charset(self._recognition, character_file(config.recogniser, config.characters))

    def detect(self, images: Sequence[Pixels]) -> list[tuple[detection.Quads, npt.NDArray[np.float32]]]:
        """The text quads [n, 4, 2] of each image in reading order, and their scores [n].

        The images must have one detection size. A quad at the edge of a very thin image may reach out of it.
        """
        frames = [Frame.of(image.shape[1], image.shape[0], self.config) for image in images]
        rendered = [frame.render(image) for frame, image in zip(frames, images, strict=True)]
        found = detection.detect(rendered, self._detection, self.config, at_once=self._at_once)
        return [(frame.to_image(quads), scores) for frame, (quads, scores) in zip(frames, found, strict=True)]

    def recognize(self, lines: Sequence[tuple[Pixels, npt.NDArray[np.float32]]]) -> list[Line]:
        """Read lines given as (image, quad [4, 2] in its pixels). They must have one padded width."""
        rendered: dict[int, tuple[Frame, Pixels]] = {}
        crops = []
        for image, quad in lines:
            if id(image) not in rendered:
                frame = Frame.of(image.shape[1], image.shape[0], self.config)
                rendered[id(image)] = frame, frame.render(image)
            frame, pixels = rendered[id(image)]
            crops.append(recognition.crop(pixels, frame.from_image(quad)))
        return recognition.recognize(crops, self._recognition, self._charset)


def _check(model: Model, path: Path, given: Dimensions, output: Dimensions) -> None:
    """Files of PP-OCR's versions name their one input, and the output, otherwise."""
    check_signature(model, path, {model.inputs[0].name: given}, {model.outputs[0].name: output})


def check_installed(config: OcrConfig) -> None:
    """Raise InvalidArgumentError, MissingExtraError or NotFoundError when text can't be read here; loads no network."""
    for precision in (config.detects_in, config.precision):
        check_backend(config.library, config.device, precision, opens="the networks of OCR")
    detection_weights(config.detector)
    recognition_weights(config.recogniser)
    character_file(config.recogniser, config.characters)


def detection_size(width: int, height: int, config: OcrConfig) -> tuple[int, int]:
    """The detection network's input size (width, height) for an image of that size."""
    return detection.input_size(*Frame.of(width, height, config).size, config)


def is_near(width: int, height: int, quad: npt.NDArray[np.floating[Any]], config: OcrConfig) -> bool:
    """Whether a quad lies in an image of that size or about it, which bounds the memory that its line takes."""
    return Frame.of(width, height, config).holds(quad)


def padded_width(width: int, height: int, quad: npt.NDArray[np.float32], config: OcrConfig) -> int:
    """The recognition network's input width for a quad of an image of that size."""
    return recognition.padded_width(Frame.of(width, height, config).from_image(quad))


def read_text(image: Pixels, model: OcrModel) -> list[TextLine]:
    """Read all text of one image [H, W, 3] RGB uint8, in reading order."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InvalidArgumentError(f"image must be a uint8 array [H, W, 3], got {image.dtype} {list(image.shape)}")
    height, width = image.shape[:2]
    ((quads, _),) = model.detect([image])
    by_width: dict[int, list[int]] = defaultdict(list)
    for index, quad in enumerate(quads):
        by_width[padded_width(width, height, quad, model.config)].append(index)
    read: dict[int, Line] = {}
    for indices in by_width.values():
        read.update(zip(indices, model.recognize([(image, quads[index]) for index in indices]), strict=True))
    limit = np.array([width, height], np.float32)
    return [
        TextLine(np.clip(quad, 0, limit), read[index].text, read[index].score)
        for index, quad in enumerate(quads)
        if is_text(read[index], model.config)
    ]


def is_text(line: Line, config: OcrConfig) -> bool:
    """Whether a recognised line counts: not blank, and sure enough."""
    return bool(line.text.strip()) and line.score >= config.text_threshold
