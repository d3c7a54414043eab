"""The image processors of transformers for Qwen-VL models, computed by ``image.preprocess``.

Trainers and servers that prepare images with transformers' processors get the engine's by one call, and the same
numbers as from transformers' Pillow backend: pictures of a batch are computed side by side without the GIL, and one
that was seen before is not computed again.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
from transformers import AutoConfig, AutoImageProcessor
from transformers.feature_extraction_utils import BatchFeature
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
    Qwen2VLImageProcessorPil as TransformersQwen2VLImageProcessorPil,
)

from vista_fast._core import Image, gather
from vista_fast.engine import Engine

MODEL_TYPES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
"""The model types of transformers whose image processor is replaced."""

_BICUBIC = 3  # PIL.Image.Resampling.BICUBIC
_engine: Engine | None = None


def install(engine: Engine | None = None) -> None:
    """From now on ``AutoImageProcessor`` and ``AutoProcessor`` give the models of ``MODEL_TYPES`` the processor below.

    Processors that were made before stay as they are. Calling it again changes the engine.

    Args:
        engine: computes from now on, in this process; None makes one per process when it is first needed.
    """
    global _engine
    _engine = engine
    for model_type in MODEL_TYPES:
        AutoImageProcessor.register(
            type(AutoConfig.for_model(model_type)),
            image_processor_classes={"torchvision": Qwen2VLImageProcessor, "pil": Qwen2VLImageProcessorPil},
            exist_ok=True,
        )


class Qwen2VLImageProcessorPil(TransformersQwen2VLImageProcessorPil):
    """transformers' processor of this name, with its arguments and its outputs; see there.

    uint8 pictures with three channels that are resized (bicubic), rescaled by 1/255 and normalised, as is the default,
    are computed by the engine; any other goes the way of the base class.
    """

    def process_image(
        self, image: Any, do_convert_rgb: bool | None = None, input_data_format: Any = None, **kwargs: Any
    ) -> Any:
        """An Image of the engine where it can compute on it, else what the base class makes of it."""
        pixels = _rgb_pixels(image, do_convert_rgb, input_data_format)
        if pixels is None:
            return super().process_image(image, do_convert_rgb, input_data_format, **kwargs)
        return current_engine().image(pixels)

    def _preprocess(self, images: list[Any], **settings: Any) -> BatchFeature:  # type: ignore[override]
        # transformers passes every setting by name; named here, they would only be gathered again.
        if not (images and all(isinstance(image, Image) for image in images) and _supported(settings)):
            planes = [np.moveaxis(np.asarray(each), -1, 0) if isinstance(each, Image) else each for each in images]
            return super()._preprocess(planes, **settings)
        shared = {
            "patch_size": settings["patch_size"],
            "merge_size": settings["merge_size"],
            "temporal_patch_size": settings["temporal_patch_size"],
            "min_pixels": settings["size"].shortest_edge,
            "max_pixels": settings["size"].longest_edge,
            "mean": _per_channel(settings["image_mean"]),
            "std": _per_channel(settings["image_std"]),
        }
        calls = [{"image": image, **shared} for image in images]
        results = current_engine().submit_many("image.preprocess", calls).result()
        data = {
            "pixel_values": gather([result["pixel_values"] for result in results]),
            "image_grid_thw": np.array([result["grid_thw"] for result in results]),
        }
        return BatchFeature(data=data, tensor_type=settings["return_tensors"])


class Qwen2VLImageProcessor(Qwen2VLImageProcessorPil):
    """The same under the name of transformers' torchvision backend, so that it is found, saved and loaded by it."""


def current_engine() -> Engine:
    """The engine that ``install`` was given, or this process's own."""
    return _engine if _engine is not None else _own_engine.get()


class _OwnEngine:
    """One per process, made when it is first needed: an engine does not survive a fork, as data loaders make it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        os.register_at_fork(after_in_child=self._forget)

    def get(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = Engine()
            return self._engine

    def _forget(self) -> None:
        # The lock too: another thread of the parent may have held it.
        self._lock = threading.Lock()
        self._engine = None


_own_engine = _OwnEngine()


def _rgb_pixels(image: Any, do_convert_rgb: bool | None, input_data_format: Any) -> Any:
    """uint8 pixels [height, width, 3], or None for an image that needs the base class."""
    if hasattr(image, "convert"):
        if image.mode != "RGB" and not do_convert_rgb:
            return None
        return np.asarray(image.convert("RGB"))
    array = np.asarray(image) if isinstance(image, np.ndarray) or hasattr(image, "numpy") else None
    if array is None or array.dtype != np.uint8 or array.ndim != 3:
        return None
    given = getattr(input_data_format, "value", input_data_format)
    first, last = array.shape[0] == 3, array.shape[-1] == 3
    if last and (given == "channels_last" or (given is None and not first)):
        return array
    if first and (given == "channels_first" or (given is None and not last)):
        return np.moveaxis(array, 0, -1)
    return None


def _supported(settings: dict[str, Any]) -> bool:
    size, scale = settings["size"], settings["rescale_factor"]
    steps = settings["do_resize"] and settings["do_rescale"] and settings["do_normalize"]
    whole = bool(size is not None and size.shortest_edge and size.longest_edge)
    return bool(steps and whole and settings["resample"] == _BICUBIC and abs(scale * 255 - 1) < 1e-9)


def _per_channel(value: Any) -> tuple[float, float, float]:
    red, green, blue = (value, value, value) if isinstance(value, (int, float)) else value
    return float(red), float(green), float(blue)
