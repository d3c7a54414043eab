"""The image processors of Qwen2-VL, Qwen2.5-VL and Qwen3-VL."""

from __future__ import annotations

from typing import Any

import numpy as np
from transformers.feature_extraction_utils import BatchFeature
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil as TransformersQwen2VLImageProcessorPil,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from vista_fast.integrations.transformers import pictures


class Qwen2VLImageProcessorPil(pictures.OnPictures, TransformersQwen2VLImageProcessorPil):
    """transformers' processor of this name, with its arguments and its outputs; see there.

    uint8 pictures with three channels that are resized (bicubic), rescaled by 1/255 and normalised, as is the default,
    are computed by the engine; any other goes the way of the base class.
    """

    def _preprocess(self, images: list[Any], **settings: Any) -> BatchFeature:  # type: ignore[override]
        # transformers passes every setting by name; named here, they would only be gathered again.
        size = settings["size"]
        whole = size is not None and size.shortest_edge and size.longest_edge
        if not (pictures.are_pictures(images) and pictures.takes_all_steps(settings) and whole):
            return super()._preprocess(pictures.planes_of(images), **settings)
        patch, merge = settings["patch_size"], settings["merge_size"]
        limits = {"min_pixels": size.shortest_edge, "max_pixels": size.longest_edge}
        values, others = pictures.preprocess(
            images,
            settings,
            [_patches(picture, patch, patch * merge, limits) for picture in images],
            patch_size=patch,
            merge_size=merge,
            temporal_patch_size=settings["temporal_patch_size"],
            **limits,
        )
        data = {"pixel_values": values, "image_grid_thw": np.array([other["grid_thw"] for other in others])}
        return BatchFeature(data=data, tensor_type=settings["return_tensors"])


def _patches(picture: pictures.Picture, patch: int, factor: int, limits: dict[str, int]) -> int:
    """How many the picture has; 0 for one that is too long, which the engine refuses."""
    try:
        height, width = smart_resize(*picture.size, factor=factor, **limits)
    except ValueError:
        return 0
    return int(height // patch) * int(width // patch)


class Qwen2VLImageProcessor(Qwen2VLImageProcessorPil):
    """The same under the name of transformers' torchvision backend, so that it is found, saved and loaded by it."""
