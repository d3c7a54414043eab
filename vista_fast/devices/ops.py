"""The Ops ``dali.decode``, ``dali.zoom`` and ``dali.normalise``, and the choice between them and the native ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from vista_fast._core import encoded_hash
from vista_fast.devices.dali import DaliExecutor
from vista_fast.devices.image import DeviceImage, DeviceTensor
from vista_fast.devices.region import resolve_box, resolve_size
from vista_fast.devices.store import DeviceStore
from vista_fast.errors import InvalidArgumentError, VistaError

if TYPE_CHECKING:
    import torch

    from vista_fast.engine import CallFuture, Engine

_T = TypeVar("_T")

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def register_dali(engine: Engine, store: DeviceStore, *, max_batch: int = 32) -> DaliOps:
    """Give the engine DALI's image Ops, on the device of ``store``; once per engine.

    - ``dali.decode(encoded=bytes)`` → DeviceImage, upright, of the hash that ``Engine.image`` gives those bytes.
    - ``dali.zoom(image, box=None, size=None, filter="bicubic")`` → DeviceImage: as ``image.zoom``, with "bilinear" or
      "bicubic". Instead of ``image``, ``source=`` may be the hash of a DeviceImage that the store holds.
    - ``dali.normalise(image, box=None, size=None, filter="bicubic", mean=ImageNet's, std=ImageNet's)`` →
      DeviceTensor float32 [3, height, width], with ``source=`` as above.

    Pictures that come of it are held by the store, not by the engine's cache, whose bytes are the host's: an equal
    call gets the held one. DaliExecutor says how results differ from the native Ops'.

    Raises:
        InvalidArgumentError: the engine has these Ops already.
        MissingExtraError: DALI is not installed.
    """
    from vista_fast.engine import BatchPolicy, Op

    executor = DaliExecutor(store.device, max_batch, threads=engine.threads)
    runs: dict[str, Callable[[list[dict[str, Any]]], Sequence[Any]]] = {
        "dali.decode": lambda calls: _decode(executor, store, calls),
        "dali.zoom": lambda calls: _zoom(executor, store, calls),
        "dali.normalise": lambda calls: _normalise(executor, store, calls),
    }
    for name, run in runs.items():
        policy = BatchPolicy(max_batch=max_batch, max_delay=0.002)
        engine.register(Op(name, executor.version, policy=policy, run=run, key=_key, cacheable=False))
    return DaliOps(engine, store)


class DaliOps:
    """Image calls that run where their image lives."""

    def __init__(self, engine: Engine, store: DeviceStore) -> None:
        self._engine = engine
        self.store = store

    def submit_zoom(self, image: Any, **options: Any) -> CallFuture:
        """``dali.zoom`` for a DeviceImage, whose result is one again, and ``image.zoom`` for all else.

        ``options`` are those of the Op and of ``Engine.submit``.
        """
        if isinstance(image, DeviceImage):
            return self._engine.submit("dali.zoom", source=self.store.hold(image).hash, **options)
        return self._engine.submit("image.zoom", image, **options)


def _key(call: Mapping[str, Any]) -> str:
    """Calls of one pipeline: one filter and one normalisation."""
    return repr([call.get("filter", "bicubic"), call.get("mean"), call.get("std")])


def _decode(executor: DaliExecutor, store: DeviceStore, calls: list[dict[str, Any]]) -> list[Any]:
    wanted = {}
    for call in calls:
        if set(call) != {"encoded"} or not isinstance(call["encoded"], bytes):
            raise InvalidArgumentError(f"dali.decode got {sorted(call)}; give encoded=, the bytes of an image file")
        wanted[encoded_hash(call["encoded"])] = call["encoded"]
    images = _held_or_made(store, wanted, executor.decode)
    return [images[encoded_hash(call["encoded"])] for call in calls]


def _zoom(executor: DaliExecutor, store: DeviceStore, calls: list[dict[str, Any]]) -> list[Any]:
    parsed = [_try(_Crop, store, call, {"box", "size", "filter"}) for call in calls]
    crops = [crop for crop in parsed if isinstance(crop, _Crop)]
    hashes = [crop.hash_by(executor.version) for crop in crops]
    images = _held_or_made(
        store,
        dict(zip(hashes, crops, strict=True)),
        lambda missing: executor.zoom(*_columns(missing), missing[0].filter),
    )
    return _in_place(parsed, [images[key] for key in hashes])


def _normalise(executor: DaliExecutor, store: DeviceStore, calls: list[dict[str, Any]]) -> list[Any]:
    parsed = [_try(_Crop, store, call, {"box", "size", "filter", "mean", "std"}) for call in calls]
    crops = [crop for crop in parsed if isinstance(crop, _Crop)]
    if not crops:
        return parsed
    mean = _channels(calls[0].get("mean", IMAGENET_MEAN), "mean")
    std = _channels(calls[0].get("std", IMAGENET_STD), "std")
    if min(std) <= 0:
        raise InvalidArgumentError(f"std is {std}; give three numbers above 0")
    normalised = executor.normalise(*_columns(crops), crops[0].filter, mean, std)
    return _in_place(parsed, [DeviceTensor(one) for one in normalised])


class _Crop:
    """One call's image on the device, its box, size and filter."""

    def __init__(self, store: DeviceStore, call: Mapping[str, Any], known: set[str]) -> None:
        if unknown := set(call) - known - {"image", "source"}:
            raise InvalidArgumentError(f"unknown arguments {sorted(unknown)}; give {', '.join(sorted(known))}")
        if ("image" in call) == ("source" in call):
            raise InvalidArgumentError("give either an image or source=, the hash of a DeviceImage")
        self.image = store.put(call["image"]) if "image" in call else store.get(str(call["source"]))
        self.box = resolve_box(call.get("box"), self.image.width, self.image.height)
        self.size = resolve_size(call.get("size"), self.box)
        self.filter = call.get("filter", "bicubic")

    def hash_by(self, version: str) -> str:
        """Of the result, in a domain of its own, so that no file has the hash of a part of another."""
        asked = repr((self.image.hash, self.box, self.size, self.filter, version)).encode()
        return hashlib.blake2b(asked, digest_size=16, person=b"vista_fast zoom").hexdigest()


def _columns(crops: Sequence[_Crop]) -> tuple[list[Any], list[Any], list[Any]]:
    return [crop.image.pixels() for crop in crops], [crop.box for crop in crops], [crop.size for crop in crops]


def _held_or_made(
    store: DeviceStore, wanted: Mapping[str, _T], make: Callable[[list[_T]], list[torch.Tensor]]
) -> dict[str, DeviceImage]:
    """The image of each hash: those that the store does not hold are made together, and held."""
    images = {key: store.find(key) for key in wanted}
    missing = [key for key, image in images.items() if image is None]
    pixels = make([wanted[key] for key in missing]) if missing else []
    made = {key: store.hold(DeviceImage(one, key)) for key, one in zip(missing, pixels, strict=True)}
    return {key: image for key, image in images.items() if image is not None} | made


def _try(make: Callable[..., _Crop], *arguments: Any) -> _Crop | VistaError:
    try:
        return make(*arguments)
    except VistaError as error:
        return error


def _in_place(parsed: Sequence[Any], made: Sequence[Any]) -> list[Any]:
    """``made`` where a call could be parsed, and its error where it could not."""
    results = iter(made)
    return [next(results) if isinstance(one, _Crop) else one for one in parsed]


def _channels(values: Any, name: str) -> tuple[float, float, float]:
    try:
        red, green, blue = (float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise InvalidArgumentError(f"{name} is {values!r}; give three numbers") from error
    return red, green, blue
