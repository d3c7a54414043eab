"""The Ops ``dali.decode``, ``dali.zoom``, ``dali.resize`` and ``dali.normalise``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from vista_fast._core import Image, encoded_hash
from vista_fast.devices.calls import box_of, in_place, parse_each, refuse_unknown, taken_image, three_numbers
from vista_fast.devices.dali import DaliExecutor, Filter
from vista_fast.devices.encoded import decodes_alike
from vista_fast.devices.image import DeviceImage, DeviceTensor
from vista_fast.devices.region import resolve_size
from vista_fast.devices.store import DeviceStore
from vista_fast.errors import InvalidArgumentError, VistaError
from vista_fast.out_of_memory import make_in_halves

if TYPE_CHECKING:
    import torch

    from vista_fast.engine import Engine

_T = TypeVar("_T")

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def register_dali(engine: Engine, store: DeviceStore, *, max_batch: int = 32) -> None:
    """Give the engine DALI's image Ops, on the device of ``store``; once per engine.

    - ``dali.decode(encoded=bytes)`` → DeviceImage, upright, of the hash that ``Engine.image`` gives those bytes; but of
      one of its own what a GPU's decoder makes, which may differ by grey levels. What DALI decodes to other pixels
      (``decodes_alike``: transparency, 16 bits, CMYK, WebP) the native decoder does, on the host.
    - ``dali.zoom(image, box=None, size=None, filter="bicubic")`` → DeviceImage: as ``image.zoom``, with "bilinear",
      "bicubic" or "lanczos". ``image`` is a DeviceImage, or an Image, which is copied to the device.
    - ``dali.resize(image, size, filter="bicubic")`` → DeviceImage: as ``image.resize`` of the whole image, likewise.
    - ``dali.normalise(image, box=None, size=None, filter="bicubic", mean=ImageNet's, std=ImageNet's)`` →
      DeviceTensor float32 [3, height, width].

    ``image.zoom`` of a DeviceImage is ``dali.zoom`` from then on, and ``image.resize`` is ``dali.resize``: a call runs
    where its image lives.

    Pictures that come of it are held by the store, not by the engine's cache, whose bytes are the host's: an equal
    call gets the held one. DaliExecutor says how results differ from the native Ops'. Of a batch that does not fit the
    device's memory the halves are made, down to single pictures, whose calls end in ResourceExhaustedError.

    Raises:
        InvalidArgumentError: the engine has these Ops already.
        MissingExtraError: DALI is not installed.
    """
    from vista_fast.engine import BatchPolicy, Op

    executor = DaliExecutor(store.device, max_batch, threads=engine.threads)
    runs: dict[str, Callable[[list[dict[str, Any]]], Sequence[Any]]] = {
        "dali.decode": lambda calls: _decode(executor, store, calls),
        "dali.zoom": lambda calls: _made(executor, store, parse_each(partial(_zoomed, store), calls)),
        "dali.resize": lambda calls: _made(executor, store, parse_each(partial(_resized, store), calls)),
        "dali.normalise": lambda calls: _normalise(executor, store, calls),
    }
    policy = BatchPolicy(max_batch=max_batch, max_delay=0.002)
    for name, run in runs.items():
        op = Op(name, executor.version, policy=policy, run=run, key=_key, cacheable=False, image_types=(DeviceImage,))
        engine.register(op)
    for name in ("zoom", "resize"):
        engine.redirect(f"image.{name}", DeviceImage, f"dali.{name}")


def _key(call: Mapping[str, Any]) -> str:
    """Calls of one pipeline: one filter and one normalisation."""
    return repr([call.get("filter") or "bicubic", call.get("mean"), call.get("std")])


def _decode(executor: DaliExecutor, store: DeviceStore, calls: list[dict[str, Any]]) -> list[Any]:
    keys: list[str] = []
    alike: dict[str, bytes] = {}
    others: dict[str, bytes] = {}
    for call in calls:
        if set(call) != {"encoded"} or not isinstance(call["encoded"], bytes):
            raise InvalidArgumentError(f"dali.decode got {sorted(call)}; give encoded=, the bytes of an image file")
        encoded: bytes = call["encoded"]
        key, by_dali = encoded_hash(encoded), decodes_alike(encoded)
        if by_dali and not executor.decodes_exactly:
            key = _hash_by(executor, key)
        (alike if by_dali else others)[key] = encoded
        keys.append(key)
    images = _held_or_made(store, alike, executor.decode)
    for key, encoded in others.items():
        images[key] = store.find(key) or store.put(Image.decode(encoded))
    return [images[key] for key in keys]


def _hash_by(executor: DaliExecutor, plain: str) -> str:
    """Of what it decodes from the bytes of that hash."""
    made = f"{plain} {executor.version}".encode()
    return hashlib.blake2b(made, digest_size=16, person=b"vista_fast dali").hexdigest()


def _zoomed(store: DeviceStore, call: Mapping[str, Any]) -> _Crop:
    return _Crop(store, call, {"box", "size", "filter"})


def _resized(store: DeviceStore, call: Mapping[str, Any]) -> _Crop:
    if call.get("source") is not None:
        raise InvalidArgumentError(
            f"source is {call['source']!r}, and DALI resizes whole images: leave it out, cut whole pixels by "
            "image.zoom's box, or pass image.to_host()"
        )
    if call.get("size") is None:
        raise InvalidArgumentError("size is missing; give (width, height) in pixels")
    return _Crop(store, call, {"source", "size", "filter"})


def _made(executor: DaliExecutor, store: DeviceStore, parsed: Sequence[_Crop | VistaError]) -> list[Any]:
    """The picture of each crop, and the errors where they stand."""
    crops = [crop for crop in parsed if isinstance(crop, _Crop)]
    hashes = [crop.hash_by(executor.version) for crop in crops]
    images = _held_or_made(
        store,
        dict(zip(hashes, crops, strict=True)),
        lambda missing: executor.zoom(*_columns(missing), missing[0].filter),
    )
    return in_place(parsed, [images[key] for key in hashes])


def _normalise(executor: DaliExecutor, store: DeviceStore, calls: list[dict[str, Any]]) -> list[Any]:
    parsed = parse_each(lambda call: _Crop(store, call, {"box", "size", "filter", "mean", "std"}), calls)
    crops = [crop for crop in parsed if isinstance(crop, _Crop)]
    if not crops:
        return list(parsed)
    mean = three_numbers(calls[0].get("mean") or IMAGENET_MEAN, "mean")
    std = three_numbers(calls[0].get("std") or IMAGENET_STD, "std")
    if min(std) <= 0:
        raise InvalidArgumentError(f"std is {std}; give three numbers above 0")
    normalised = make_in_halves(lambda some: executor.normalise(*_columns(some), some[0].filter, mean, std), crops)
    return in_place(parsed, [DeviceTensor(one) for one in normalised])


class _Crop:
    """One call's image on the device, its box, size and filter."""

    def __init__(self, store: DeviceStore, call: Mapping[str, Any], known: set[str]) -> None:
        refuse_unknown(call, known)
        self.image = taken_image(store, call)
        self.box = box_of(call, self.image)
        self.size = resolve_size(call.get("size"), self.box)
        self.filter: Filter = call.get("filter") or "bicubic"

    def hash_by(self, version: str) -> str:
        """Of the result, in a domain of its own, so that no file has the hash of a part of another."""
        asked = repr((self.image.hash, self.box, self.size, self.filter, version)).encode()
        return hashlib.blake2b(asked, digest_size=16, person=b"vista_fast zoom").hexdigest()


def _columns(crops: Sequence[_Crop]) -> tuple[list[Any], list[Any], list[Any]]:
    return [crop.image.pixels() for crop in crops], [crop.box for crop in crops], [crop.size for crop in crops]


def _held_or_made(
    store: DeviceStore, wanted: Mapping[str, _T], make: Callable[[Sequence[_T]], list[torch.Tensor]]
) -> dict[str, DeviceImage]:
    """The image of each hash: those that the store does not hold are made together, and held."""
    images = {key: store.find(key) for key in wanted}
    missing = [key for key, image in images.items() if image is None]
    pixels = make_in_halves(make, [wanted[key] for key in missing]) if missing else []
    made = {key: store.hold(DeviceImage(one, key)) for key, one in zip(missing, pixels, strict=True)}
    return {key: image for key, image in images.items() if image is not None} | made
