"""The arguments of calls over images on a device, read one by one, so that a bad call fails alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from vista_fast._core import Image
from vista_fast.devices.image import DeviceImage
from vista_fast.devices.region import Box, resolve_box
from vista_fast.devices.store import DeviceStore
from vista_fast.errors import InvalidArgumentError, VistaError

_T = TypeVar("_T")


def parse_each(parse: Callable[[dict[str, Any]], _T], calls: Sequence[dict[str, Any]]) -> list[_T | VistaError]:
    """``parse`` of each call, or its error."""
    parsed: list[_T | VistaError] = []
    for call in calls:
        try:
            parsed.append(parse(call))
        except VistaError as error:
            parsed.append(error)
    return parsed


def in_place(parsed: Sequence[Any], made: Sequence[Any]) -> list[Any]:
    """``made`` where a call could be parsed, and its error where it could not."""
    results = iter(made)
    return [one if isinstance(one, VistaError) else next(results) for one in parsed]


def refuse_unknown(call: Mapping[str, Any], known: set[str]) -> None:
    """Raises InvalidArgumentError for an argument that is neither the image nor ``known``."""
    if unknown := set(call) - known - {"image"}:
        raise InvalidArgumentError(f"unknown arguments {sorted(unknown)}; give image, {', '.join(sorted(known))}")


def taken_image(store: DeviceStore, call: Mapping[str, Any]) -> DeviceImage:
    """The call's image on the device of ``store``; an Image is copied there.

    Raises InvalidArgumentError for anything else, and for a DeviceImage that lies on another device.
    """
    image = call.get("image")
    if isinstance(image, DeviceImage):
        return store.hold(image)
    if isinstance(image, Image):
        return store.put(image)
    raise InvalidArgumentError(f"the image is a {type(image).__name__}; give a DeviceImage or an Image")


def box_of(call: Mapping[str, Any], image: DeviceImage) -> Box:
    """The whole pixels of the call's box; all of the image by default."""
    return resolve_box(call.get("box"), image.width, image.height)


def three_numbers(values: Any, name: str) -> tuple[float, float, float]:
    """One finite number for each of red, green and blue. Raises InvalidArgumentError."""
    try:
        red, green, blue = (float(value) for value in values)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgumentError(f"{name} is {values!r}; give three numbers") from error
    if not all(map(math.isfinite, (red, green, blue))):
        raise InvalidArgumentError(f"{name} is {values!r}; give three finite numbers")
    return red, green, blue


def whole_number(call: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    """The call's argument of that name, a whole number from ``least`` to ``most``. Raises InvalidArgumentError."""
    value = call.get(name, default)
    # The range first: what is not finite has no whole number to compare with.
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not least <= value <= most
        or value != int(value)
    ):
        raise InvalidArgumentError(f"{name} is {value!r}; give a whole number from {least} to {most}")
    return int(value)
