"""The Op ``device.preprocess``: the input of Qwen-VL's vision encoder, made where the images live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vista_fast.devices.calls import box_of, in_place, parse_each, refuse_unknown, taken_image, three_numbers
from vista_fast.devices.image import DeviceImage, DeviceTensor
from vista_fast.devices.store import DeviceStore
from vista_fast.errors import InvalidArgumentError

if TYPE_CHECKING:
    import torch

    from vista_fast.engine import Engine
    from vista_fast.kernels.calls import CropPatchify

VERSION = "1"

_DTYPES = ("float32", "float16", "bfloat16")
_SIDES = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
_PIXELS = {"min_pixels": 56 * 56, "max_pixels": 28 * 28 * 1280}
_KNOWN = {"box", "processor", "mean", "std", "dtype", *_SIDES, *_PIXELS}


def register_preprocess(engine: Engine, store: DeviceStore, *, max_batch: int = 256) -> None:
    """Give the engine ``device.preprocess``, on the device of ``store``; once per engine.

    It takes what ``image.preprocess`` takes for processor "qwen_vl", and ``dtype`` ("float32", "float16" or
    "bfloat16"), and gives {"pixel_values": DeviceTensor [h * w, 3 * temporal_patch_size * patch_size**2], "grid_thw":
    (1, h, w)}: the numbers of ``image.preprocess`` but for one grey level in some samples (kernels.calls.CropPatchify).
    All images of a batch are cropped, resized, normalised and cut into patches in one launch, whose results are parts
    of one tensor: on a CUDA device by the Triton kernel, on the CPU by its reference in torch.

    ``image.preprocess`` of a DeviceImage is ``device.preprocess`` from then on.

    Raises:
        InvalidArgumentError: the engine has this Op already.
        MissingExtraError: the device is a CUDA device and Triton is not installed.
    """
    from vista_fast.engine import BatchPolicy, Op

    run = _kernel(store.device)
    engine.register(
        Op(
            "device.preprocess",
            f"{VERSION}/{store.device.type}",
            policy=BatchPolicy(max_batch=max_batch, max_delay=0.002),
            run=lambda calls: _preprocess(run, store, calls),
            key=_key,
            cacheable=False,
        )
    )
    engine.redirect("image.preprocess", DeviceImage, "device.preprocess")


def _kernel(device: torch.device) -> Any:
    if device.type == "cuda":
        from vista_fast.kernels.crop_patchify import crop_resize_patchify

        return crop_resize_patchify
    from vista_fast.kernels import reference

    return reference.crop_resize_patchify


def _key(call: Mapping[str, Any]) -> str:
    """Calls of one launch: one shape and type of patches, and one normalisation."""
    return repr([call.get(name) for name in (*_SIDES, "mean", "std", "dtype")])


def _preprocess(run: Any, store: DeviceStore, calls: list[dict[str, Any]]) -> list[Any]:
    parsed = parse_each(lambda call: _Region(store, call), calls)
    regions = [region for region in parsed if isinstance(region, _Region)]
    if not regions:
        return list(parsed)
    launch = _launch(regions, calls[0])
    values = run(launch).split(launch.grid_thw.prod(1).tolist())
    grids = launch.grid_thw.tolist()
    made = [
        {"pixel_values": DeviceTensor(rows), "grid_thw": tuple(grid)} for rows, grid in zip(values, grids, strict=True)
    ]
    return in_place(parsed, made)


def _launch(regions: list[_Region], call: Mapping[str, Any]) -> CropPatchify:
    import torch

    from vista_fast.kernels.calls import CLIP_MEAN, CLIP_STD, CropPatchify
    from vista_fast.kernels.ragged import RaggedImages

    images = {region.image.hash: region.image for region in regions}
    numbers = {image_hash: number for number, image_hash in enumerate(images)}
    sides = regions[0].sides
    return CropPatchify(
        RaggedImages.pack([image.pixels() for image in images.values()]),
        torch.tensor([numbers[region.image.hash] for region in regions]),
        torch.tensor([region.box for region in regions]),
        torch.tensor([region.size for region in regions]),
        patch_size=sides["patch_size"],
        merge_size=sides["merge_size"],
        temporal_patch_size=sides["temporal_patch_size"],
        mean=three_numbers(call.get("mean", CLIP_MEAN), "mean"),
        std=three_numbers(call.get("std", CLIP_STD), "std"),
        dtype=getattr(torch, regions[0].dtype),
    )


class _Region:
    """One call's image on the device, its box, and the size that its patches tile."""

    def __init__(self, store: DeviceStore, call: Mapping[str, Any]) -> None:
        from vista_fast.kernels.calls import qwen_size

        refuse_unknown(call, _KNOWN)
        if call.get("processor", "qwen_vl") != "qwen_vl":
            raise InvalidArgumentError(
                f"processor is {call['processor']!r}; on a device there is qwen_vl: pass image.to_host() for another"
            )
        self.dtype = call.get("dtype", "float32")
        if self.dtype not in _DTYPES:
            raise InvalidArgumentError(f"dtype is {self.dtype!r}; choose from {', '.join(_DTYPES)}")
        self.sides = _whole_numbers(call, _SIDES)
        self.image = taken_image(store, call)
        self.box = box_of(call, self.image)
        left, top, right, bottom = self.box
        factor = self.sides["patch_size"] * self.sides["merge_size"]
        self.size = qwen_size(bottom - top, right - left, factor, **_whole_numbers(call, _PIXELS))


def _whole_numbers(call: Mapping[str, Any], defaults: Mapping[str, int]) -> dict[str, int]:
    numbers = {}
    for name, default in defaults.items():
        value = call.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise InvalidArgumentError(f"{name} is {value!r}; give a whole number above 0")
        numbers[name] = value
    return numbers
