"""What the Op of a network asks of a call before it joins a Batch: an image, and no argument that it does not know.

An Op's key is asked for first and for each call by itself, so that what it refuses fails alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from vista_fast._core import Image
from vista_fast.errors import InvalidArgumentError


def check_arguments(call: Mapping[str, Any], op: str, *others: str) -> None:
    """Raises InvalidArgumentError when the image is missing, and for arguments beside ``others``."""
    if unknown := sorted(set(call) - {"image", *others}):
        known = ", ".join(("image", *others))
        raise InvalidArgumentError(f"{op} has no argument {', '.join(map(repr, unknown))}; it takes {known}")
    if not isinstance(image := call.get("image"), Image):
        raise InvalidArgumentError(f"the image of {op} is a {type(image).__name__}; give an Image or its source")


def one_for_all(op: str, *others: str) -> Callable[[Mapping[str, Any]], str]:
    """The compatibility key of an Op whose calls may all share a Batch; it checks a call's arguments."""

    def key(call: Mapping[str, Any]) -> str:
        check_arguments(call, op, *others)
        return ""

    return key
