"""What all processors share: calls of ``image.preprocess`` on their pictures become one array."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers.image_processing_base import BatchFeature

from vista_fast._core import Image, gather, new_rows
from vista_fast.engine import Engine, ManyCalls
from vista_fast.errors import InvalidArgumentError, ResourceExhaustedError
from vista_fast.integrations.transformers.current import current_engine

_BICUBIC = 3  # PIL.Image.Resampling.BICUBIC


class Picture:
    """What the engine can compute on, where its caller has it: a PIL image of mode RGB or uint8 [height, width, 3]."""

    def __init__(self, source: Any) -> None:
        self._source = source

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        if isinstance(self._source, np.ndarray):
            return self._source.shape[0], self._source.shape[1]
        width, height = self._source.size
        return height, width

    def pixels(self) -> npt.NDArray[np.uint8]:
        """uint8 [height, width, 3]."""
        return np.asarray(self._source)

    def image(self, engine: Engine) -> Image:
        """The engine's Image of it, copied once."""
        copied = None if isinstance(self._source, np.ndarray) else Image.from_pillow(self._source)
        return engine.image(Image.from_array(self.pixels()) if copied is None else copied)


class OnPictures:
    """Before a processor of transformers' Pillow backend: has Pictures computed by the engine, all else by that."""

    def on_engine(self, pictures: list[Picture], settings: dict[str, Any]) -> BatchFeature | None:
        """What the engine makes of them; None for settings that it has no options for."""
        raise NotImplementedError

    def process_image(
        self, image: Any, do_convert_rgb: bool | None = None, input_data_format: Any = None, **kwargs: Any
    ) -> Any:
        """A Picture where the engine can compute on it, else what the base class makes of it."""
        picture = picture_of(image, do_convert_rgb, input_data_format)
        if picture is not None:
            return picture
        made = super().process_image(image, do_convert_rgb, input_data_format, **kwargs)  # type: ignore[misc]
        # A PIL image of another mode, made RGB by transformers: transparency goes over the ground that it chooses.
        is_rgb = hasattr(image, "convert") and made.dtype == np.uint8 and made.ndim == 3 and made.shape[0] == 3
        return Picture(np.moveaxis(made, 0, -1)) if is_rgb else made

    def _preprocess(self, *given: Any, **settings: Any) -> BatchFeature:
        # transformers gives the images and passes every setting by name; named here, they would only be gathered again.
        (images,) = given
        made = None
        if are_pictures(images) and takes_all_steps(settings):
            # What the engine refuses transformers may compute, and where it refuses too, its error is the one to see.
            with contextlib.suppress(InvalidArgumentError, ResourceExhaustedError):
                made = self.on_engine(images, settings)
        if made is not None:
            return made
        return super()._preprocess(planes_of(images), **settings)  # type: ignore[misc, no-any-return]


def are_pictures(images: Sequence[Any]) -> bool:
    """Whether the engine can compute on all of them."""
    return bool(images) and all(isinstance(each, Picture) for each in images)


def planes_of(images: Sequence[Any]) -> list[Any]:
    """What the base class takes, channels first."""
    return [np.moveaxis(each.pixels(), -1, 0) if isinstance(each, Picture) else each for each in images]


def takes_all_steps(settings: dict[str, Any]) -> bool:
    """Whether pictures are resized (bicubic), rescaled by 1/255 and normalised, as the engine does it."""
    steps = settings["do_resize"] and settings["do_rescale"] and settings["do_normalize"]
    return bool(steps and settings["resample"] == _BICUBIC and abs(settings["rescale_factor"] * 255 - 1) < 1e-9)


def preprocess(
    pictures: Sequence[Picture], settings: dict[str, Any], rows: Sequence[int] | None, **options: Any
) -> tuple[npt.NDArray[np.float32], list[dict[str, Any]]]:
    """The pixel values of all pictures, one after the other, and what else ``image.preprocess`` gives for each.

    Args:
        rows: how many rows of values each picture has. Where they are known, a picture's are gathered while those
            behind it are computed, and their memory is then theirs.

    Raises:
        InvalidArgumentError, ResourceExhaustedError: the engine does not compute it with these settings.
    """
    shared = {"mean": per_channel(settings["image_mean"]), "std": per_channel(settings["image_std"]), **options}
    engine = current_engine.get()
    batch = _Batch(None if rows is None else sum(rows))
    most_ahead = len(os.sched_getaffinity(0)) + 2
    ahead: deque[ManyCalls] = deque()
    try:
        for picture in pictures:
            if len(ahead) == most_ahead:
                batch.add(ahead.popleft().result()[0])
            ahead.append(engine.submit_many("image.preprocess", [{"image": picture.image(engine), **shared}]))
        while ahead:
            batch.add(ahead.popleft().result()[0])
    finally:
        for calls in ahead:
            calls.cancel()
    return batch.values(), batch.others


class _Batch:
    """Results as they come, with their pixel values in one array."""

    def __init__(self, rows: int | None) -> None:
        self._rows = rows
        self._filled = 0
        self._out: npt.NDArray[np.float32] | None = None
        self._parts: list[npt.NDArray[np.float32]] = []
        self.others: list[dict[str, Any]] = []

    def add(self, result: dict[str, Any]) -> None:
        values = result["pixel_values"]
        self.others.append({name: value for name, value in result.items() if name != "pixel_values"})
        if self._rows is None:
            self._parts.append(values)
            return
        if self._out is None:
            self._out = new_rows((self._rows, *values.shape[1:]))
        end = self._filled + len(values)
        gather([values], out=self._out[self._filled : end])
        self._filled = end

    def values(self) -> npt.NDArray[np.float32]:
        return gather(self._parts) if self._out is None else self._out


def picture_of(image: Any, do_convert_rgb: bool | None, input_data_format: Any) -> Picture | None:
    """None for an image that needs the base class."""
    if hasattr(image, "convert"):
        is_opaque = not (do_convert_rgb and "transparency" in image.info)
        return Picture(image) if image.mode == "RGB" and is_opaque else None
    array = np.asarray(image) if isinstance(image, np.ndarray) or hasattr(image, "numpy") else None
    if array is None or array.dtype != np.uint8 or array.ndim != 3:
        return None
    given = getattr(input_data_format, "value", input_data_format)
    first, last = array.shape[0] == 3, array.shape[-1] == 3
    if last and (given == "channels_last" or (given is None and array.shape[0] not in (1, 3, 4))):
        return Picture(array)
    if first and (given == "channels_first" or (given is None and not last)):
        return Picture(np.moveaxis(array, 0, -1))
    return None


def per_channel(value: Any) -> tuple[float, float, float]:
    """Three numbers of one or three. Raises InvalidArgumentError."""
    try:
        red, green, blue = (value, value, value) if isinstance(value, (int, float)) else value
        return float(red), float(green), float(blue)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"mean or std is {value!r}; give one number, or one for each channel") from error
