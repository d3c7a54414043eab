"""The Op ``device.preprocess``: the input of Qwen-VL's vision encoder, made where the images live."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from vista_fast.devices.calls import (
    box_of,
    in_place,
    parse_each,
    refuse_unknown,
    taken_image,
    three_numbers,
    whole_number,
)
from vista_fast.devices.image import DeviceImage, DeviceTensor
from vista_fast.devices.in_core import OP, opener, placed_first, prepare
from vista_fast.devices.store import DeviceStore
from vista_fast.engine.recent import Recent
from vista_fast.errors import InvalidArgumentError, ResourceExhaustedError
from vista_fast.out_of_memory import make_in_halves

if TYPE_CHECKING:
    import torch

    from vista_fast.engine import Engine
    from vista_fast.kernels.calls import CropPatchify

VERSION = "1"

Patches: TypeAlias = dict[str, Any]
"""``pixel_values`` and ``grid_thw`` of one call."""

_DTYPES = ("float32", "float16", "bfloat16")
_SIDES = {"patch_size": (14, 1024), "merge_size": (2, 64), "temporal_patch_size": (2, 64)}
"""The default of each, and the most; both are those of ``image.preprocess``, as all numbers here."""
_MIN_PIXELS, _MAX_PIXELS, _MOST_PIXELS = 56 * 56, 28 * 28 * 1280, 178_956_970
_KNOWN = {"box", "processor", "mean", "std", "dtype", "min_pixels", "max_pixels", *_SIDES}


def register_preprocess(
    engine: Engine,
    store: DeviceStore,
    *,
    budget_bytes: int = 1 << 30,
    max_batch: int = 32,
    library: Path | None = None,
) -> None:
    """Give the engine ``device.preprocess``, on the device of ``store``; once per engine.

    It takes what ``image.preprocess`` takes for processor "qwen_vl", and ``dtype`` ("float32", "float16" or
    "bfloat16"), and gives {"pixel_values": DeviceTensor [h * w, 3 * temporal_patch_size * patch_size**2], "grid_thw":
    (1, h, w)}: the numbers of ``image.preprocess`` but for one grey level in some samples (kernels.calls.CropPatchify).
    It refuses pictures whose longer side times that of their result reaches 2**28 pixels.
    All different calls of a batch are cropped, resized, normalised and cut into patches in one launch: on a CUDA
    device by the kernel in CUDA C++ where it was built and proves right, else by Triton's, on the CPU by their
    reference in torch. What comes of it is held within ``budget_bytes`` of the device's memory, not in the engine's
    cache, whose bytes are the host's: an equal call gets the held one.

    With the kernel in CUDA C++ the engine has the native Op ``cuda.preprocess``, whose calls take DeviceImages alone
    and run in the engine's own threads: they complete when their work is in the device's queue, and readers of their
    DeviceTensors wait for it on the device. The memory of those is of a pool of the Op's own, which keeps up to twice
    ``budget_bytes`` and 256 MiB until the engine and all of them are gone. So torch's ``record_stream`` does nothing
    for it (a tensor that another stream than its first one reads must be kept until it is read), and what torch keeps
    for later can be in its way (``torch.cuda.empty_cache()``).

    ``image.preprocess`` and ``device.preprocess`` of a DeviceImage are ``cuda.preprocess`` from then on where there is
    one; else both are ``device.preprocess``.

    Args:
        library: of the CUDA kernels, where it is not the package's own (kernels.cuda_library).

    Raises:
        InvalidArgumentError: the engine has this Op already, or the budget is below 0.
        MissingExtraError: the device is a CUDA device, the CUDA kernels were not built and Triton is not installed.
    """
    from vista_fast.engine import BatchPolicy, Op

    policy, held = BatchPolicy(max_batch=max_batch, max_delay=0.002), Recent[Patches](budget_bytes)
    library = library or _library(store.device)
    op = None if library is None else prepare(engine, store, library, budget_bytes, max_batch)
    run = _preprocess_with(_kernel(store.device), store, held) if op is None else placed_first(op, store)
    engine.register(
        Op(
            "device.preprocess",
            f"{VERSION}/{store.device.type}",
            policy=policy,
            run=run,
            key=_key,
            cacheable=False,
            image_types=(DeviceImage,),
        )
    )
    if op is not None:
        engine.register_native(op, DeviceImage, opener(store))
        engine.redirect("device.preprocess", DeviceImage, OP)
    engine.redirect("image.preprocess", DeviceImage, "device.preprocess" if op is None else OP)


def _library(device: torch.device) -> Path | None:
    if device.type != "cuda":
        return None
    from vista_fast.kernels import cuda_library

    path: Path | None = cuda_library.library_path()
    return path


def _kernel(device: torch.device) -> Any:
    """What runs there where the core has no Op: Triton on a CUDA device, on the CPU the reference in torch."""
    if device.type == "cuda":
        from vista_fast.kernels.crop_patchify import crop_resize_patchify

        return crop_resize_patchify
    from vista_fast.kernels import reference

    return reference.crop_resize_patchify


def _key(call: Mapping[str, Any]) -> str:
    """Calls of one launch: one shape and type of patches, and one normalisation."""
    return repr([call.get(name) for name in (*_SIDES, "mean", "std", "dtype")])


def _preprocess_with(
    kernel: Any, store: DeviceStore, held: Recent[Patches]
) -> Callable[[list[dict[str, Any]]], list[Any]]:
    def run(calls: list[dict[str, Any]]) -> list[Any]:
        parsed = parse_each(lambda call: _Region(store, call), calls)
        regions = {region.asked: region for region in parsed if isinstance(region, _Region)}
        patches = {asked: held.find(asked) for asked in regions}
        missing = [asked for asked, found in patches.items() if found is None]
        if missing:
            made = make_in_halves(partial(_made, kernel), [regions[asked] for asked in missing])
            for asked, one in zip(missing, made, strict=True):
                patches[asked] = held.hold(asked, one, one["pixel_values"].bytes)
        return in_place(parsed, [patches[region.asked] for region in parsed if isinstance(region, _Region)])

    return run


def _made(kernel: Any, regions: Sequence[_Region]) -> list[Patches]:
    launch = _launch(regions)
    counts: list[int] = launch.grid_thw.prod(1).tolist()
    # Copies: a part would keep the memory of all.
    rows = [DeviceTensor(part.clone()) for part in kernel(launch).split(counts)]
    grids = launch.grid_thw.tolist()
    return [{"pixel_values": values, "grid_thw": tuple(grid)} for values, grid in zip(rows, grids, strict=True)]


def _launch(regions: Sequence[_Region]) -> CropPatchify:
    import torch

    from vista_fast.kernels.calls import CropPatchify
    from vista_fast.kernels.ragged import RaggedImages

    images = {region.image.hash: region.image for region in regions}
    numbers = {image_hash: number for number, image_hash in enumerate(images)}
    first = regions[0]
    return CropPatchify(
        RaggedImages.pack([image.pixels() for image in images.values()]),
        torch.tensor([numbers[region.image.hash] for region in regions]),
        torch.tensor([region.box for region in regions]),
        torch.tensor([region.size for region in regions]),
        patch_size=first.sides["patch_size"],
        merge_size=first.sides["merge_size"],
        temporal_patch_size=first.sides["temporal_patch_size"],
        mean=first.mean,
        std=first.std,
        dtype=getattr(torch, first.dtype),
    )


class _Region:
    """One call's image on the device, its box, the size that its patches tile, and their numbers.

    ``asked`` is all of it as text: what makes calls equal.
    """

    def __init__(self, store: DeviceStore, call: Mapping[str, Any]) -> None:
        from vista_fast.kernels.calls import CLIP_MEAN, CLIP_STD, qwen_size

        refuse_unknown(call, _KNOWN)
        given = {name: value for name, value in call.items() if value is not None}
        if given.get("processor", "qwen_vl") != "qwen_vl":
            raise InvalidArgumentError(
                f"processor is {given['processor']!r}; on a device there is qwen_vl: pass image.to_host() for another"
            )
        self.dtype = given.get("dtype", "float32")
        if self.dtype not in _DTYPES:
            raise InvalidArgumentError(f"dtype is {self.dtype!r}; choose from {', '.join(_DTYPES)}")
        self.mean = three_numbers(given.get("mean", CLIP_MEAN), "mean")
        self.std = three_numbers(given.get("std", CLIP_STD), "std")
        self.sides = {name: whole_number(given, name, usual, 1, most) for name, (usual, most) in _SIDES.items()}
        self.image = taken_image(store, given)
        self.box = box_of(given, self.image)
        left, top, right, bottom = self.box
        factor = self.sides["patch_size"] * self.sides["merge_size"]
        least = whole_number(given, "min_pixels", _MIN_PIXELS, 1, _MOST_PIXELS)
        most = whole_number(given, "max_pixels", _MAX_PIXELS, least, _MOST_PIXELS)
        self.size = qwen_size(bottom - top, right - left, factor, least, most)
        if self.size[0] * self.size[1] > _MOST_PIXELS:
            raise ResourceExhaustedError(
                f"the resized image is {self.size[1]} x {self.size[0]} pixels, over the limit of {_MOST_PIXELS}; make "
                "it smaller"
            )
        self.asked = repr([self.image.hash, self.box, self.size, self.sides, self.mean, self.std, self.dtype])
