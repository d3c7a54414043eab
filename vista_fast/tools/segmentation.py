"""The tool segment: the outline of an object that points or a box mean, and the name that VISTA-Gym has for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np

from vista_fast.models.segmentation import Prompt
from vista_fast.tools.regions import BOX_SCHEMA, TARGET_SCHEMA, resolve_box
from vista_fast.tools.tool import CallContext, Tool, ToolFailure
from vista_fast.types import Observation

_MOST_POINTS = 64

_POINTS_SCHEMA: Final[dict[str, Any]] = {
    "type": "array",
    "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
    "maxItems": _MOST_POINTS,
    "description": "[[x, y], ...] in pixels, or as fractions of the image when all values are at most 1.",
}
_LABELS_SCHEMA: Final[dict[str, Any]] = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": 1},
    "maxItems": _MOST_POINTS,
    "description": "For each point 1 when it lies on the object, 0 when it does not. Default: all lie on it.",
}


class Segment(Tool):
    """Outlines one object.

    The Observation's text is JSON: ``results`` with ``mask_id``, ``score`` (estimated overlap with the true mask, in
    [0, 1]), ``pixel_count``, ``coverage_percent``, ``bbox`` (left, top, right, bottom) and ``centroid`` (x, y) in
    pixels, both null for an empty mask; ``best_mask_idx``; and ``overlay``, which names the image that comes with it:
    the best mask tinted.
    """

    name = "segment"
    description = (
        "Outline one object, given by points on it, a box around it, or both. Gives back JSON (score, pixel_count, "
        "coverage_percent, bbox, centroid) and an image with the object tinted."
    )
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "points": _POINTS_SCHEMA,
            "labels": _LABELS_SCHEMA,
            "bbox_2d": BOX_SCHEMA,
            "target_image": TARGET_SCHEMA,
        },
        "required": [],
    }
    expects = ("segment.decode",)

    async def run(
        self,
        call: CallContext,
        /,
        *,
        points: Sequence[Sequence[float]] | None = None,
        labels: Sequence[int] | None = None,
        bbox_2d: Sequence[float] | None = None,
        target_image: int | None = None,
    ) -> Observation:
        names = ("points", "labels", "bbox_2d")
        return await _segmented(call, names, target_image, points, labels, bbox_2d, every_mask=False)


class Sam2(Tool):
    """Segment under the name and with the arguments of VISTA-Gym's tool."""

    name = "sam2"
    description = (
        "Segment one object, given by points on it, a box around it, or both. Gives back JSON: results (mask_id, "
        "score, pixel_count, coverage_percent, bbox, centroid), best_mask_idx; and an image with the best mask tinted."
    )
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "point_prompts": _POINTS_SCHEMA,
            "point_labels": _LABELS_SCHEMA,
            "box_prompt": BOX_SCHEMA,
            "multimask_output": {
                "type": "boolean",
                "description": "Whether to give all three masks (object, part, what it is part of) or the best.",
            },
            "target_image": TARGET_SCHEMA,
        },
        "required": [],
    }
    expects = ("segment.decode",)
    alias_of = "segment"

    async def run(
        self,
        call: CallContext,
        /,
        *,
        point_prompts: Sequence[Sequence[float]] | None = None,
        point_labels: Sequence[int] | None = None,
        box_prompt: Sequence[float] | None = None,
        multimask_output: bool = True,
        target_image: int | None = None,
    ) -> Observation:
        names = ("point_prompts", "point_labels", "box_prompt")
        return await _segmented(
            call, names, target_image, point_prompts, point_labels, box_prompt, every_mask=multimask_output
        )


async def _segmented(
    call: CallContext,
    names: tuple[str, str, str],
    target_image: int | None,
    points: Sequence[Sequence[float]] | None,
    labels: Sequence[int] | None,
    box: Sequence[float] | None,
    *,
    every_mask: bool,
) -> Observation:
    """``names`` are those of points, labels and box in the call, for messages."""
    image = call.image(target_image)
    size = (image.width, image.height)
    if not points and box is None:
        raise ToolFailure("E3", f"There is nothing to segment by: give {names[0]}, {names[2]}, or both.")
    whole_box = None if box is None else resolve_box(names[2], box, *size)
    prompt = Prompt.of(size, _in_pixels(points or (), size), labels or None, whole_box)
    # Held until the prompt is decoded, so that the image is encoded once even where the cache can't keep it.
    embedding = await call.op("segment.encode", image)
    found = await call.op("segment.decode", image, points=prompt.points, labels=prompt.labels, box=prompt.box)
    del embedding
    best = int(np.argmax(found["scores"]))
    chosen = list(range(len(found["scores"]))) if every_mask else [best]
    rendered = await call.op("segment.render", image, logits=found["logits"][chosen], shown=chosen.index(best))
    results = [
        {"mask_id": index, "score": round(float(found["scores"][mask]), 4), **_readable(facts)}
        for index, (mask, facts) in enumerate(zip(chosen, rendered["facts"], strict=True))
    ]
    shown = f"Image {call.next_image} shows the best mask tinted, {image.width}x{image.height} pixels."
    text = json.dumps({"results": results, "best_mask_idx": chosen.index(best), "overlay": shown})
    return Observation(text, (rendered["overlay"],))


def _in_pixels(points: Sequence[Sequence[float]], size: tuple[int, int]) -> list[tuple[float, float]]:
    """The points as they are, unless all values are at most 1: those are fractions of the image."""
    scale = size if points and max(map(max, points)) <= 1 else (1, 1)
    return [(point[0] * scale[0], point[1] * scale[1]) for point in points]


def _readable(facts: Mapping[str, Any]) -> dict[str, Any]:
    centroid = facts["centroid"]
    return {
        "pixel_count": facts["pixel_count"],
        "coverage_percent": round(facts["coverage_percent"], 2),
        "bbox": facts["bbox"],
        "centroid": None if centroid is None else [round(value, 1) for value in centroid],
    }
