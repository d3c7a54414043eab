"""The image processors of CLIP, SigLIP, LLaVA and InternVL: each transformers' own of its name, computed by the engine
where it can, as in ``qwen``."""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from transformers.image_processing_base import BatchFeature
from transformers.models.clip.image_processing_pil_clip import (
    CLIPImageProcessorPil as TransformersCLIPImageProcessorPil,
)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import (
    GotOcr2ImageProcessorPil as TransformersGotOcr2ImageProcessorPil,
)
from transformers.models.llava.image_processing_pil_llava import (
    LlavaImageProcessorPil as TransformersLlavaImageProcessorPil,
)
from transformers.models.siglip.image_processing_pil_siglip import (
    SiglipImageProcessorPil as TransformersSiglipImageProcessorPil,
)

from vista_fast.integrations.transformers import pictures

Values: TypeAlias = npt.NDArray[np.float32]


class CLIPImageProcessorPil(pictures.OnPictures, TransformersCLIPImageProcessorPil):
    def on_engine(self, images: list[pictures.Picture], settings: dict[str, Any]) -> BatchFeature | None:
        options = _middle(settings)
        if options is None or settings["do_pad"]:
            return None
        return _batch(_single(images, settings, processor="clip", **options), settings)


class CLIPImageProcessor(CLIPImageProcessorPil):
    """The same under the name of transformers' torchvision backend."""


class LlavaImageProcessorPil(pictures.OnPictures, TransformersLlavaImageProcessorPil):
    def on_engine(self, images: list[pictures.Picture], settings: dict[str, Any]) -> BatchFeature | None:
        options = _middle(settings)
        if options is None:
            return None
        pad = bool(settings["do_pad"])
        return _batch(_single(images, settings, processor="llava", pad_to_square=pad, **options), settings)


class LlavaImageProcessor(LlavaImageProcessorPil):
    """The same under the name of transformers' torchvision backend."""


class SiglipImageProcessorPil(pictures.OnPictures, TransformersSiglipImageProcessorPil):
    def on_engine(self, images: list[pictures.Picture], settings: dict[str, Any]) -> BatchFeature | None:
        size = settings["size"]
        moved = settings["do_center_crop"] or settings["do_pad"]
        if moved or not (size.height and size.width):
            return None
        return _batch(_single(images, settings, processor="siglip", size=(size.width, size.height)), settings)


class SiglipImageProcessor(SiglipImageProcessorPil):
    """The same under the name of transformers' torchvision backend."""


class GotOcr2ImageProcessorPil(pictures.OnPictures, TransformersGotOcr2ImageProcessorPil):
    """What InternVL uses."""

    def on_engine(self, images: list[pictures.Picture], settings: dict[str, Any]) -> BatchFeature | None:
        size = settings["size"]
        if not (size.height and size.width):
            return None
        tiled = settings["crop_to_patches"] and settings["max_patches"] > 1
        values, others = pictures.preprocess(
            images,
            settings,
            None if tiled else [1] * len(images),
            processor="intern_vl",
            size=(size.width, size.height),
            min_tiles=settings["min_patches"] if tiled else 1,
            max_tiles=settings["max_patches"] if tiled else 1,
        )
        tiles = [math.prod(other["grid"]) for other in others]
        return _batch(values, settings, num_patches=[count + 1 if count > 1 else 1 for count in tiles])


class GotOcr2ImageProcessor(GotOcr2ImageProcessorPil):
    """The same under the name of transformers' torchvision backend."""


def _middle(settings: dict[str, Any]) -> dict[str, Any] | None:
    """Options of a shortest edge and the middle that is cut out; None for other settings, or where it is padded."""
    size, crop = settings["size"], settings["crop_size"]
    whole = size.shortest_edge and not size.longest_edge and settings["do_center_crop"] and crop.height and crop.width
    if not (whole and max(crop.height, crop.width) <= size.shortest_edge):
        return None
    return {"shortest_edge": size.shortest_edge, "size": (crop.width, crop.height)}


def _single(images: list[pictures.Picture], settings: dict[str, Any], **options: Any) -> Values:
    """Pixel values of one plane for each picture."""
    return pictures.preprocess(images, settings, [1] * len(images), **options)[0]


def _batch(values: Values, settings: dict[str, Any], **data: Any) -> BatchFeature:
    tensors = settings["return_tensors"]
    return BatchFeature(
        data={"pixel_values": values if tensors is not None else list(values), **data}, tensor_type=tensors
    )
