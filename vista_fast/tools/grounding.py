"""Tools that say where in an image is what a caption names."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from vista_fast.models.grounding.ops import COCO, Grounder
from vista_fast.models.grounding.vocabulary import COCO_CLASSES, classes_of
from vista_fast.tools.arguments import shown
from vista_fast.tools.regions import TARGET_SCHEMA
from vista_fast.tools.tool import CallContext, Tool, ToolFailure
from vista_fast.types import Observation, SeenImage

_MOST = 50
"""Boxes that an Observation tells of; more would be a page of numbers."""
_SOME_CLASSES = ", ".join(COCO_CLASSES[:16])


class Ground(Tool):
    """Finds what a caption names, and draws it.

    The text is JSON: ``model`` (which one answered), ``boxes`` (whole pixels, left, top, right, bottom), ``logits``
    (their scores), ``phrases``, ``size`` ([height, width] of the image), ``num_detections``, best first and at most 50.
    Where something was found an image with the boxes drawn comes with it.

    With the closed vocabulary ``phrases`` are class names, and the text threshold does nothing.
    """

    name = "ground"
    description = (
        "Find things in an image: name them in a caption, such as 'red car. dog.'. Gives back JSON with their boxes, "
        "scores and phrases, and a new image with the boxes drawn."
    )
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {
            "caption": {"type": "string", "description": "What to find; things parted by full stops."},
            "box_threshold": {
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "description": "Leave out boxes that score no more than this. Default: 0.35.",
            },
            "text_threshold": {
                "type": "number",
                "minimum": 0,
                "maximum": 1,
                "description": "Leave words that score no more than this out of a box's phrase. Default: 0.25.",
            },
            "target_image": TARGET_SCHEMA,
        },
        "required": ["caption"],
    }

    def __init__(self, grounder: Grounder, *, box_threshold: float = 0.35, text_threshold: float = 0.25) -> None:
        """``grounder``: as ``register_grounding`` gives it. The thresholds are the defaults of the arguments."""
        self.grounder = grounder
        self.box_threshold = box_threshold
        self.text_threshold = text_threshold
        # An instance's own, because which Op answers depends on what is on this machine.
        self.expects = (grounder.op,)  # type: ignore[misc]

    async def run(
        self,
        call: CallContext,
        /,
        *,
        caption: str,
        box_threshold: float | None = None,
        text_threshold: float | None = None,
        target_image: int | None = None,
        **_: Any,
    ) -> Observation:
        image = call.image(target_image)
        if not caption.strip(". \t\n"):
            raise ToolFailure("E3", f"caption must name what to find, such as 'red car. dog.', got {shown(caption)}.")
        limit = self.box_threshold if box_threshold is None else box_threshold
        if self.grounder.op == COCO:
            return await self._of_classes(call, image, caption, limit)
        words = self.text_threshold if text_threshold is None else text_threshold
        found = await call.op(self.grounder.op, image, caption=caption, box_threshold=limit, text_threshold=words)
        return await _told(call, image, found, range(len(found["scores"])))

    async def _of_classes(self, call: CallContext, image: SeenImage, caption: str, limit: float) -> Observation:
        wanted = classes_of(caption)
        if not wanted:
            raise ToolFailure(
                "E3",
                f"caption {shown(caption)} names nothing that {self.grounder.model} knows. It knows "
                f"{len(COCO_CLASSES)} classes of things: {_SOME_CLASSES}, …",
            )
        found = await call.op(COCO, image)
        scored = zip(found["phrases"], found["scores"], strict=True)
        return await _told(
            call,
            image,
            found,
            [index for index, (phrase, score) in enumerate(scored) if phrase in wanted and score > limit],
        )


class GroundingDinoTool(Ground):
    """Ground under the name of VISTA-Gym's tool."""

    name = "grounding_dino"
    alias_of = "ground"


async def _told(call: CallContext, image: SeenImage, found: Mapping[str, Any], kept: Sequence[int]) -> Observation:
    kept = [index for index in kept if _whole(found["boxes"][index], image) is not None][:_MOST]
    boxes = [_whole(found["boxes"][index], image) for index in kept]
    result = {
        "model": found["model"],
        "boxes": boxes,
        "logits": [round(float(found["scores"][index]), 4) for index in kept],
        "phrases": [found["phrases"][index] for index in kept],
        "size": [image.height, image.width],
        "num_detections": len(kept),
    }
    text = json.dumps(result, ensure_ascii=False)
    if not boxes:
        return Observation(text)
    drawn = await call.op("image.draw_boxes", image, boxes=boxes, width=max(2, max(image.width, image.height) // 300))
    return Observation(f"{text}\nImage {call.next_image} is the image with these boxes drawn.", (drawn,))


def _whole(box: Sequence[float], image: SeenImage) -> list[int] | None:
    """In whole pixels, rounded outward and clamped; None for a box that is not in the image."""
    left, top, right, bottom = (float(side) for side in box)
    if not all(map(math.isfinite, (left, top, right, bottom))):
        return None
    whole = [
        max(math.floor(left), 0),
        max(math.floor(top), 0),
        min(math.ceil(right), image.width),
        min(math.ceil(bottom), image.height),
    ]
    return whole if whole[0] < whole[2] and whole[1] < whole[3] else None
