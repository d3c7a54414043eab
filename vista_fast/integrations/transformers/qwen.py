"""The image processors of Qwen2-VL, Qwen2.5-VL and Qwen3-VL."""

from __future__ import annotations

from typing import Any

import numpy as np
from transformers.image_processing_base import BatchFeature
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil as TransformersQwen2VLImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from vista_fast.integrations.transformers import pictures

_MOST_PIXELS = 178_956_970
"""What the engine resizes to at most. Of a higher limit, which says that there is none, only a larger picture needs
transformers."""


class Qwen2VLImageProcessorPil(pictures.OnPictures, TransformersQwen2VLImageProcessorPil):
    """transformers' processor of this name, with its arguments and its outputs; see there.

    Pictures of three channels in uint8 that are resized (bicubic), rescaled by 1/255 and normalised, as is the default,
    are computed by the engine; any other, and what the engine refuses, goes the way of the base class.
    """

    def on_engine(self, images: list[pictures.Picture], settings: dict[str, Any]) -> BatchFeature | None:
        size = settings["size"]
        if size is None or not (size.shortest_edge and size.longest_edge):
            return None
        patch, merge = settings["patch_size"], settings["merge_size"]
        least, most = size.shortest_edge, min(size.longest_edge, _MOST_PIXELS)
        sizes = _sizes(images, patch * merge, least, most)
        if most < size.longest_edge and sizes != _sizes(images, patch * merge, least, size.longest_edge):
            return None
        values, others = pictures.preprocess(
            images,
            settings,
            [int(height // patch) * int(width // patch) for height, width in sizes],
            patch_size=patch,
            merge_size=merge,
            temporal_patch_size=settings["temporal_patch_size"],
            min_pixels=least,
            max_pixels=most,
        )
        data = {"pixel_values": values, "image_grid_thw": np.array([other["grid_thw"] for other in others])}
        return BatchFeature(data=data, tensor_type=settings["return_tensors"])


def _sizes(images: list[pictures.Picture], factor: int, least: int, most: int) -> list[tuple[int, int]]:
    """(height, width) that each is resized to. Raises ValueError for a picture that is too long, as transformers."""
    return [smart_resize(*each.size, factor=factor, min_pixels=least, max_pixels=most) for each in images]


class Qwen2VLImageProcessor(Qwen2VLImageProcessorPil):
    """The same under the name of transformers' torchvision backend, so that it is found, saved and loaded by it."""
