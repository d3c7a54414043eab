"""Whether each kernel and model gives on a GPU what it gives on the CPU, for gpu_check."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpu_agreement import Agreement
from gpu_models import compare_networks
from gpu_workloads import WORKLOADS, Regions, Workload, make_regions

if TYPE_CHECKING:
    import torch
    from vista_fast.kernels.calls import CropPatchify
    from vista_fast.kernels.ragged import CropResize


def check_all(seed: int, device: str = "cuda", workloads: tuple[Workload, ...] = WORKLOADS) -> list[Agreement]:
    """Every comparison, printed as it is made."""
    found = []
    for compare in (_references, _kernels, _cuda_library, _in_core, _overlay_and_masks, _dali, _models):
        for agreement in _or_its_failure(compare, compare(seed, device, workloads)):
            state = {True: "ok", False: "DISAGREES", None: "not compared"}[agreement.agrees]
            number = "" if agreement.off is None else f": off by {agreement.off:.1e}, at most {agreement.limit:.1e}"
            print(f"{agreement.name}{number} {state} {agreement.why}".rstrip())
            found.append(agreement)
    return found


def _or_its_failure(compare: Callable[..., object], found: Iterator[Agreement]) -> Iterator[Agreement]:
    """What breaks one kind of comparison must not take the others' results with it."""
    try:
        yield from found
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"[:300]
        yield Agreement(f"what{compare.__name__} compares next", None, 0, reason, failed=True)


def _limits() -> dict[torch.dtype, float]:
    import torch

    # Normalised values lie within about +-2.7; float32 sums over some hundred taps differ in the last few bits.
    return {torch.float32: 1e-4, torch.float16: 2e-3, torch.bfloat16: 2e-2}


def _level(call: CropResize | CropPatchify) -> float:
    """One grey level after the call's normalisation: what a sum at a half may move a rounded result by."""
    return 1 / 255 / min(call.std)


def _references(seed: int, device: str, workloads: tuple[Workload, ...]) -> Iterator[Agreement]:
    """What kernels are compared with on this device, for speed, beside the same on the CPU; of some regions."""
    from vista_fast.kernels import reference

    if device == "cpu":
        return
    for workload in workloads:
        few = replace(workload, rows=min(workload.rows, 16), images=min(workload.images, 8))
        there, here = make_regions(few, seed, device), make_regions(few, seed, "cpu")
        for rounded in (False, True):
            name = f"{'rounded ' if rounded else ''}on the CPU, {workload.name}"
            squares = reference.crop_resize_normalise(there.resize(rounded=rounded)).cpu()
            yield from _compared(f"reference of crop_resize {name}", here.resize(rounded=rounded), squares)
            rows = reference.crop_resize_patchify(there.patchify(rounded=rounded)).cpu()
            yield from _compared(f"reference of crop_patchify {name}", here.patchify(rounded=rounded), rows)


def _kernels(seed: int, device: str, workloads: tuple[Workload, ...]) -> Iterator[Agreement]:
    from vista_fast.kernels import crop_patchify, crop_resize

    blocks = crop_resize.Blocks()  # what is tuned is measured, and compared by the tests marked gpu
    for workload in workloads:
        regions = make_regions(workload, seed, device)
        for dtype in _limits():
            call = regions.resize(dtype=dtype)
            got = crop_resize.crop_resize_normalise(call, blocks=blocks)
            yield from _compared(f"crop_resize {dtype}, {workload.name}", call, got)
            patches = regions.patchify(dtype=dtype)
            rows = crop_patchify.crop_resize_patchify(patches, blocks=blocks)
            yield from _compared(f"crop_patchify {dtype}, {workload.name}", patches, rows)
    for name, odd in _odd_calls(seed, device):
        run = crop_resize.crop_resize_normalise if hasattr(odd, "size") else crop_patchify.crop_resize_patchify
        yield from _compared(name, odd, run(odd, blocks=blocks))  # type: ignore[arg-type]
    yield _against_the_native_op(make_regions(workloads[0], seed, device))


def _against_the_native_op(regions: Regions) -> Agreement:
    """The policy's pixel_values on this device and from ``image.preprocess``."""
    import torch
    from vista_fast.kernels import crop_patchify

    import vista_fast as vf

    low, high = regions.workload.pixels
    with vf.Engine() as engine:
        calls = [
            {"image": engine.image(regions.crop(n).cpu().numpy()), "min_pixels": low, "max_pixels": high}
            for n in range(len(regions.rows))
        ]
        results = engine.submit_many("image.preprocess", calls).result()
        want = torch.cat([torch.from_numpy(result["pixel_values"].copy()) for result in results])
    patches = regions.patchify()
    got = crop_patchify.crop_resize_patchify(patches).cpu()
    return Agreement("crop_patchify against image.preprocess on the CPU", _largest(got, want), _level(patches) + 1e-4)


def _cuda_library(seed: int, device: str, workloads: tuple[Workload, ...]) -> Iterator[Agreement]:
    from vista_fast.kernels import cuda_library

    if cuda_library.library_path() is None or device == "cpu":
        yield Agreement("CUDA C++ kernels", None, 0, "the library was not built", failed=device != "cpu")
        return
    for workload in workloads:
        regions = make_regions(workload, seed, device)
        for dtype in _limits():
            for rounded in (False, True):
                name = f"{dtype}{' rounded' if rounded else ''}, {workload.name}"
                call = regions.resize(dtype=dtype, rounded=rounded)
                yield from _compared(f"CUDA C++ crop_resize {name}", call, cuda_library.crop_resize_normalise(call))
                patches = regions.patchify(dtype=dtype, rounded=rounded)
                rows = cuda_library.crop_resize_patchify(patches)
                yield from _compared(f"CUDA C++ crop_patchify {name}", patches, rows)
    for name, odd in _odd_calls(seed, device):
        run = cuda_library.crop_resize_normalise if hasattr(odd, "size") else cuda_library.crop_resize_patchify
        yield from _compared(f"CUDA C++ {name}", odd, run(odd))  # type: ignore[arg-type]


def _in_core(seed: int, device: str, workloads: tuple[Workload, ...]) -> Iterator[Agreement]:
    """The native Op over the CUDA kernels; on the CPU over their like on the host, where the tests built it."""
    import torch
    from vista_fast.kernels import cuda_library

    import vista_fast as vf
    from vista_fast.devices import DeviceStore, register_preprocess

    on_host = os.environ.get("VISTA_TEST_HOST_LIBRARY")
    library = cuda_library.library_path() if device != "cpu" else Path(on_host) if on_host else None
    if library is None:
        yield Agreement("cuda.preprocess", None, 0, "the library was not built", failed=device != "cpu")
        return
    for workload in workloads:
        regions = make_regions(workload, seed, device)
        with vf.Engine() as engine:
            register_preprocess(engine, DeviceStore(device), library=library)
            for dtype in _limits():
                results = regions.preprocess(engine, dtype=str(dtype).removeprefix("torch."))
                rows = torch.cat([result["pixel_values"].tensor() for result in results])
                yield from _compared(f"cuda.preprocess {dtype}, {workload.name}", regions.patchify(dtype=dtype), rows)


def _odd_calls(seed: int, device: str) -> Iterator[tuple[str, CropResize | CropPatchify]]:
    """What no workload has: lines apart, other patches, moments and groups, the other filter, turns, large shrinks, a
    sample alone, and no row."""
    import torch
    from vista_fast.kernels.calls import CropPatchify
    from vista_fast.kernels.ragged import CropResize, RaggedImages

    high, wide = 700, 200
    random = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (700 * 640,), dtype=torch.uint8, generator=random).to(device)
    shapes = torch.tensor([[high, wide], [60, 90], [1, 1]], dtype=torch.int32)
    images = RaggedImages(pixels, torch.tensor([0, 7, 99]), shapes, torch.tensor([640, 300, 3], dtype=torch.int32))
    rows = torch.tensor([0, 1, 2, 0])
    boxes = torch.tensor([[3, 0, wide - 3, high], [0, 1, 90, 60], [0, 0, 1, 1], [0, 5, wide, high // 2]])
    for patch, merge, moments, filter in ((14, 1, 1, "bicubic"), (16, 2, 3, "bilinear"), (10, 3, 2, "bicubic")):
        sizes = torch.tensor([[2, 6], [4, 2], [2, 2], [1, 3]]) * patch * merge
        name = f"patches of {patch}, merge {merge}, {moments} moments, {filter}"
        for rounded in (False, True):
            yield (
                name,
                CropPatchify(
                    images,
                    rows,
                    boxes,
                    sizes,
                    patch,
                    merge,
                    moments,
                    filter=filter,
                    rounded=rounded,  # type: ignore[arg-type]
                ),
            )
    for size, filter in (((33, 65), "bilinear"), ((high, 3), "bicubic"), ((5, wide), "bicubic")):
        yield f"planes of {size}, {filter}", CropResize(images, rows, boxes, size, filter, rounded=True)  # type: ignore[arg-type]
    yield "no row", CropPatchify(images, rows[:0], boxes[:0], torch.empty(0, 2, dtype=torch.int64))


def _compared(name: str, call: CropResize | CropPatchify, got: torch.Tensor) -> Iterator[Agreement]:
    """With the reference on the same device. Where both passes end at whole levels, a sum at a half may end on its
    other side; several such lines under one output move it by two levels, hardly ever."""
    import torch
    from vista_fast.kernels import reference
    from vista_fast.kernels.ragged import CropResize

    run = reference.crop_resize_normalise if isinstance(call, CropResize) else reference.crop_resize_patchify
    off = (got.float() - run(call).float()).abs()  # type: ignore[arg-type]
    if not off.numel():
        yield Agreement(name, float(got.shape != torch.Size(call.out_shape)), 0)
        return
    limit = _limits()[call.dtype]
    if not call.rounded:
        yield Agreement(name, off.max().item(), limit)
        return
    yield Agreement(name, off.max().item(), limit + 2 * _level(call))
    half_a_level = _level(call) / 2
    if limit < half_a_level:  # else the type itself is as coarse as a level
        differ = (off > half_a_level).float().mean().item()
        yield Agreement(f"{name}: share of samples that differ", differ, 0.01 if call.filter == "bicubic" else 0.1)


def _overlay_and_masks(seed: int, device: str, workloads: tuple[Workload, ...]) -> Iterator[Agreement]:
    import torch
    from vista_fast.kernels import box_overlay, mask_resize, reference
    from vista_fast.kernels.calls import BoxOverlay, MaskResize

    regions = make_regions(workloads[0], seed, device)
    random = torch.Generator().manual_seed(seed)
    count = len(regions.rows)
    colors = torch.randint(0, 256, (count, 3), dtype=torch.uint8, generator=random)
    outlines = BoxOverlay(regions.images, regions.rows, regions.boxes, colors, torch.arange(count) % 5 + 1)
    got = box_overlay.box_overlay(outlines).pixels.cpu()
    want = reference.box_overlay(replace(outlines, images=regions.images.to("cpu"))).pixels
    yield Agreement("box_overlay", _largest(got, want), 0)

    side = 256 if device == "cuda" else 16
    scores = torch.randn(16, side, side, generator=random).to(device)
    sizes = torch.randint(side // 2, 4 * side, (16, 2), generator=random)
    masks = MaskResize(scores, sizes)
    differ = (
        mask_resize.mask_resize(masks).values.cpu() != reference.mask_resize(MaskResize(scores.cpu(), sizes)).values
    )
    yield Agreement("mask_resize, share of pixels (scores at the threshold)", differ.float().mean().item(), 1e-4)


def _dali(seed: int, device: str, workloads: tuple[Workload, ...]) -> Iterator[Agreement]:
    import numpy as np

    import vista_fast as vf
    from vista_fast.devices import DeviceStore, register_dali
    from vista_fast.errors import MissingExtraError

    regions = make_regions(workloads[0], seed, device)
    crops = [regions.crop(n).cpu().numpy() for n in range(min(8, len(regions.rows)))]
    with vf.Engine() as engine:
        try:
            register_dali(engine, DeviceStore(device))
        except MissingExtraError as error:
            yield Agreement("dali.zoom", None, 0, str(error))
            return
        for filter, most in (("bicubic", 24), ("bilinear", 24), ("lanczos", 48)):
            options = {"size": (224, 196), "filter": filter}
            got = [engine.call("dali.zoom", crop, **options).to_host() for crop in crops]
            want = [engine.call("image.zoom", crop, **options) for crop in crops]
            off = max(
                int(np.abs(np.asarray(one).astype(int) - np.asarray(other)).max())
                for one, other in zip(got, want, strict=True)
            )
            yield Agreement(f"dali.zoom {filter} against image.zoom, grey levels in noise", off, most)


def _models(seed: int, device: str, workloads: tuple[Workload, ...]) -> Iterator[Agreement]:
    """On a GPU only: the CPU's libraries have tests of their own."""
    if device != "cpu":
        yield from compare_networks(seed, "cuda")


def _largest(got: torch.Tensor, want: torch.Tensor) -> float:
    return (got.float() - want.float()).abs().max().item()
