"""The native Op ``cuda.preprocess``: the compiled core's own way from images on a GPU to patches there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vista_fast._core import CudaPreprocess, DevicePixels, Image
from vista_fast.devices.calls import in_place, parse_each, taken_image
from vista_fast.devices.image import DeviceImage
from vista_fast.devices.store import DeviceStore
from vista_fast.errors import InvalidArgumentError, VistaError

if TYPE_CHECKING:
    from vista_fast.engine import Engine

OP = "cuda.preprocess"

_MOST_OFF = 2 / 255 / 0.26
"""Two grey levels, normalised by CLIP's numbers."""

_log = logging.getLogger("vista_fast.devices")


def prepare(
    engine: Engine, store: DeviceStore, library: Path, budget_bytes: int, max_batch: int
) -> CudaPreprocess | None:
    """The Op on the device of ``store``, tried on a small picture; None, and a warning, where the library does not run
    there, or its numbers are not those of ``image.preprocess``."""
    device = -1 if store.device.index is None else store.device.index
    try:
        op = CudaPreprocess(library=str(library), device=device, budget_bytes=budget_bytes, max_batch=max_batch)
        off = _most_off(op, engine, store)
    except (VistaError, RuntimeError) as error:  # torch's own are RuntimeErrors
        _log.warning("%s does not run on %s (%s); other kernels are used", library, store.device, error)
        return None
    if off <= _MOST_OFF:
        return op
    _log.warning(
        "the patches that %s makes on %s are %g off those of image.preprocess; other kernels are used",
        library,
        store.device,
        off,
    )
    return None


def placed_first(op: CudaPreprocess, store: DeviceStore) -> Callable[[list[dict[str, Any]]], list[Any]]:
    """A batch function of calls over Images, which are copied to the device first."""

    def run(calls: list[dict[str, Any]]) -> list[Any]:
        parsed = parse_each(lambda call: call | {"image": taken_image(store, call).in_core()}, calls)
        return in_place(parsed, op.run([call for call in parsed if not isinstance(call, VistaError)]))

    return run


def opener(store: DeviceStore) -> Callable[[Any], DevicePixels]:
    """How the Op gets its images; each is now the latest used of the store."""

    def opened(image: object) -> DevicePixels:
        if not isinstance(image, DeviceImage):
            raise InvalidArgumentError(f"{OP}: the image is a {type(image).__name__}; give a DeviceImage")
        return store.hold(image).in_core()

    return opened


def _most_off(op: CudaPreprocess, engine: Engine, store: DeviceStore) -> float:
    import numpy as np

    picture = Image.from_array(np.arange(45 * 61 * 3, dtype=np.uint32).astype(np.uint8).reshape(45, 61, 3))
    want = engine.call("image.preprocess", picture)["pixel_values"]
    (result,) = op.run([{"image": store.put(picture).in_core()}])
    if isinstance(result, Exception):
        raise result
    got = result["pixel_values"].to_host()
    return float(np.abs(got - want).max()) if got.shape == want.shape else float("inf")
