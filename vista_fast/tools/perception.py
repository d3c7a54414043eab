"""Tools that look closer: zoom, rotate, ocr, and the names under which other systems know them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from vista_fast.errors import InvalidArgumentError
from vista_fast.tools.regions import BOX_SCHEMA, TARGET_SCHEMA, Box, resolve_box
from vista_fast.tools.tool import CallContext, Tool
from vista_fast.types import Observation, SeenImage


class Zoom(Tool):
    """Crops a region and enlarges it.

    The crop is scaled up so that its shorter side reaches ``min_side`` pixels, and down where its longer side would
    pass ``max_side``.
    """

    name = "zoom"
    description = "Look closer: crop a region of an image and enlarge it. Gives back a new image."
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"bbox_2d": BOX_SCHEMA, "target_image": TARGET_SCHEMA},
        "required": ["bbox_2d"],
    }
    expects = ("image.zoom",)

    def __init__(self, *, min_side: int = 224, max_side: int = 1024) -> None:
        if not 1 <= min_side <= max_side:
            raise InvalidArgumentError(f"zoom needs 1 <= min_side <= max_side, got {min_side} and {max_side}")
        self.min_side = min_side
        self.max_side = max_side

    async def run(
        self, call: CallContext, /, *, bbox_2d: Sequence[float], target_image: int | None = None, **_: Any
    ) -> Observation:
        image = call.image(target_image)
        box = resolve_box("bbox_2d", bbox_2d, image.width, image.height)
        size = self._size(box[2] - box[0], box[3] - box[1])
        zoomed = await call.op("image.zoom", image, box=box, size=size, filter="bicubic")
        return _new_image(call, zoomed, "the zoomed region")

    def _size(self, width: int, height: int) -> tuple[int, int]:
        scale = min(max(1.0, self.min_side / min(width, height)), self.max_side / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))


class ImageZoomInTool(Zoom):
    """Zoom under the name and with the arguments of DeepEyes and Qwen."""

    name = "image_zoom_in_tool"
    description = "Zoom in on a region of an image by cropping it with a bounding box. Gives back a new image."
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "bbox_2d": BOX_SCHEMA,
            "label": {"type": "string", "description": "What the box shows; optional, for your own notes."},
            "target_image": TARGET_SCHEMA,
        },
        "required": ["bbox_2d"],
    }
    alias_of = "zoom"


class Rotate(Tool):
    """Turns an image about its centre."""

    name = "rotate"
    description = "Turn an image, for example to read text that runs upwards. Gives back a new image."
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "angle": {
                "type": "number",
                "minimum": -360,
                "maximum": 360,
                "description": "Degrees; positive turns counter-clockwise.",
            },
            "target_image": TARGET_SCHEMA,
        },
        "required": ["angle"],
    }
    expects = ("image.rotate",)

    async def run(self, call: CallContext, /, *, angle: float, target_image: int | None = None) -> Observation:
        rotated = await call.op("image.rotate", call.image(target_image), angle=float(angle) % 360.0)
        return _new_image(call, rotated, "the turned image")


class ImageRotateTool(Rotate):
    """Rotate under the name of DeepEyes and VISTA-Gym."""

    name = "image_rotate_tool"
    alias_of = "rotate"


class ReadingTool(Tool):
    """What tools share that read text in an image or in a region of it."""

    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"bbox_2d": BOX_SCHEMA, "target_image": TARGET_SCHEMA},
        "required": [],
    }

    def __init__(self, *, min_score: float) -> None:
        """``min_score``: lines recognised with a lower mean probability, in [0, 1], are left out."""
        self.min_score = min_score


class Ocr(ReadingTool):
    """Reads printed text.

    Detection looks at the whole image, so that all calls for one image share it; a region only chooses which of the
    lines are read: those whose centre lies in it.
    """

    name = "ocr"
    description = "Read the printed text in an image, or in a region of it, line by line."
    expects = ("ocr.detect",)

    async def run(
        self, call: CallContext, /, *, bbox_2d: Sequence[float] | None = None, target_image: int | None = None
    ) -> Observation:
        image = call.image(target_image)
        box = None if bbox_2d is None else resolve_box("bbox_2d", bbox_2d, image.width, image.height)
        lines = await read_lines(call, image, box, self.min_score)
        if not lines:
            return Observation("No text found in the image." if box is None else "No text found in this region.")
        return Observation("\n".join(line.text for line in lines))


class EasyOcr(ReadingTool):
    """Ocr under the name of VISTA-Gym's tool, with its arguments and its JSON result; ``min_score`` is the default of
    min_confidence."""

    name = "easyocr"
    description = "Read the printed text in an image. Gives back JSON: detections (bbox, text, confidence), all_texts."
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "task": {"type": "string", "description": "What the text is wanted for; optional, for your own notes."},
            "min_confidence": {
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "description": "Leave out lines read with less confidence.",
            },
            "region": BOX_SCHEMA,
            "target_image": TARGET_SCHEMA,
        },
        "required": [],
    }
    expects = ("ocr.detect",)
    alias_of = "ocr"

    async def run(
        self,
        call: CallContext,
        /,
        *,
        min_confidence: float | None = None,
        region: Sequence[float] | None = None,
        target_image: int | None = None,
        **_: Any,
    ) -> Observation:
        image = call.image(target_image)
        box = None if region is None else resolve_box("region", region, image.width, image.height)
        lines = await read_lines(call, image, box, self.min_score if min_confidence is None else min_confidence)
        detections = [
            {"bbox": line.quad.round().astype(int).tolist(), "text": line.text, "confidence": round(line.score, 3)}
            for line in lines
        ]
        result = {"detections": detections, "all_texts": [line.text for line in lines]}
        return Observation(json.dumps(result, ensure_ascii=False))


@dataclass(frozen=True, slots=True)
class _Line:
    """A recognised line: its quad [4, 2] clamped to the image, text, and score in [0, 1]."""

    quad: npt.NDArray[np.float32]
    text: str
    score: float


async def read_lines(call: CallContext, image: SeenImage, box: Box | None, min_score: float) -> list[_Line]:
    """The text lines of an image whose centre lies in the box, in reading order."""
    found = await call.op("ocr.detect", image)
    quads = [quad for quad in found["quads"] if box is None or _inside(quad.mean(axis=0), box)]
    read = await call.ops("ocr.recognize", [{"image": image, "quad": tuple(quad.ravel().tolist())} for quad in quads])
    limit = np.array([image.width, image.height], np.float32)
    return [
        _Line(np.clip(quad, 0, limit), line["text"], line["score"])
        for quad, line in zip(quads, read, strict=True)
        if line["text"].strip() and line["score"] >= min_score
    ]


def _inside(point: npt.NDArray[np.float32], box: Box) -> bool:
    return bool(box[0] <= point[0] < box[2] and box[1] <= point[1] < box[3])


def _new_image(call: CallContext, image: SeenImage, what: str) -> Observation:
    return Observation(f"Image {call.next_image} is {what}, {image.width}x{image.height} pixels.", (image,))
