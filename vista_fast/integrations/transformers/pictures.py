"""What all processors share: pictures become Images, and calls of ``image.preprocess`` one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vista_fast._core import Image, gather
from vista_fast.integrations.transformers.current import current_engine

_BICUBIC = 3  # PIL.Image.Resampling.BICUBIC


class OnImages:
    """Before a processor of transformers' Pillow backend: gives it Images where the engine can compute on them."""

    def process_image(
        self, image: Any, do_convert_rgb: bool | None = None, input_data_format: Any = None, **kwargs: Any
    ) -> Any:
        """An Image of the engine where it can compute on it, else what the base class makes of it."""
        pixels = rgb_pixels(image, do_convert_rgb, input_data_format)
        if pixels is None:
            return super().process_image(image, do_convert_rgb, input_data_format, **kwargs)  # type: ignore[misc]
        return current_engine.get().image(pixels)


def are_images(pictures: Sequence[Any]) -> bool:
    """Whether the engine can compute on all of them."""
    return bool(pictures) and all(isinstance(each, Image) for each in pictures)


def planes_of(pictures: Sequence[Any]) -> list[Any]:
    """What the base class takes, channels first."""
    return [np.moveaxis(np.asarray(each), -1, 0) if isinstance(each, Image) else each for each in pictures]


def takes_all_steps(settings: dict[str, Any]) -> bool:
    """Whether pictures are resized (bicubic), rescaled by 1/255 and normalised, as the engine does it."""
    steps = settings["do_resize"] and settings["do_rescale"] and settings["do_normalize"]
    return bool(steps and settings["resample"] == _BICUBIC and abs(settings["rescale_factor"] * 255 - 1) < 1e-9)


def preprocess(images: Sequence[Image], settings: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    """The results of ``image.preprocess`` with the mean and deviation of the settings."""
    shared = {"mean": per_channel(settings["image_mean"]), "std": per_channel(settings["image_std"]), **options}
    calls = [{"image": image, **shared} for image in images]
    return current_engine.get().submit_many("image.preprocess", calls).result()


def gathered(results: Sequence[dict[str, Any]]) -> npt.NDArray[np.float32]:
    """The pixel values of all, one after the other."""
    return gather([result["pixel_values"] for result in results])


def rgb_pixels(image: Any, do_convert_rgb: bool | None, input_data_format: Any) -> Any:
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


def per_channel(value: Any) -> tuple[float, float, float]:
    """Three numbers of one or three."""
    red, green, blue = (value, value, value) if isinstance(value, (int, float)) else value
    return float(red), float(green), float(blue)
