"""Grounding: where in an image is what a caption names. Grounding DINO, or a detector of COCO's classes."""

from vista_fast.models.grounding.coco import CocoDetector
from vista_fast.models.grounding.config import GroundingConfig
from vista_fast.models.grounding.dino import Detections, GroundingDino
from vista_fast.models.grounding.found import find_grounding_dino
from vista_fast.models.grounding.ops import register_grounding
from vista_fast.models.grounding.vocabulary import COCO_CLASSES, classes_of

__all__ = [
    "COCO_CLASSES",
    "CocoDetector",
    "Detections",
    "GroundingConfig",
    "GroundingDino",
    "classes_of",
    "find_grounding_dino",
    "register_grounding",
]
