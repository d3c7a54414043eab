"""The image processors of Qwen2-VL, Qwen2.5-VL and Qwen3-VL."""

from __future__ import annotations

from typing import Any

import numpy as np
from transformers.feature_extraction_utils import BatchFeature
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil as TransformersQwen2VLImageProcessorPil,
)

from vista_fast.integrations.transformers import pictures


class Qwen2VLImageProcessorPil(pictures.OnImages, TransformersQwen2VLImageProcessorPil):
    """transformers' processor of this name, with its arguments and its outputs; see there.

    uint8 pictures with three channels that are resized (bicubic), rescaled by 1/255 and normalised, as is the default,
    are computed by the engine; any other goes the way of the base class.
    """

    def _preprocess(self, images: list[Any], **settings: Any) -> BatchFeature:  # type: ignore[override]
        # transformers passes every setting by name; named here, they would only be gathered again.
        size = settings["size"]
        whole = size is not None and size.shortest_edge and size.longest_edge
        if not (pictures.are_images(images) and pictures.takes_all_steps(settings) and whole):
            return super()._preprocess(pictures.planes_of(images), **settings)
        results = pictures.preprocess(
            images,
            settings,
            patch_size=settings["patch_size"],
            merge_size=settings["merge_size"],
            temporal_patch_size=settings["temporal_patch_size"],
            min_pixels=size.shortest_edge,
            max_pixels=size.longest_edge,
        )
        data = {
            "pixel_values": pictures.gathered(results),
            "image_grid_thw": np.array([result["grid_thw"] for result in results]),
        }
        return BatchFeature(data=data, tensor_type=settings["return_tensors"])


class Qwen2VLImageProcessor(Qwen2VLImageProcessorPil):
    """The same under the name of transformers' torchvision backend, so that it is found, saved and loaded by it."""
