"""Segmentation with SAM 2: an image is encoded once, and each prompt of points and a box decoded to masks."""

from vista_fast.models.segmentation.config import SegmentationConfig
from vista_fast.models.segmentation.masks import MaskFacts, facts_of, mask_at, overlay
from vista_fast.models.segmentation.model import Embedding, Masks, SegmentationModel
from vista_fast.models.segmentation.prompt import Prompt

__all__ = [
    "Embedding",
    "MaskFacts",
    "Masks",
    "Prompt",
    "SegmentationConfig",
    "SegmentationModel",
    "facts_of",
    "mask_at",
    "overlay",
]
