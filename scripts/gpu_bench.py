"""Ragged crop + resize + normalise + patchify on a GPU beside its peers, for gpu_check."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gpu_workloads import WORKLOADS, Regions, make_regions

if TYPE_CHECKING:
    import torch

REPEATS = 5
OURS = ("Triton", "CUDA C++", "cuda.preprocess")


def measure_each(seed: int, seconds: float, bandwidth: float) -> Iterator[dict[str, object]]:
    """Every workload by every candidate that is installed; times in milliseconds, one per repeat. ``bandwidth`` is that
    of a copy, in bytes read and written per second."""
    for workload in WORKLOADS:
        yield _measure(make_regions(workload, seed), bandwidth, seconds)


def copy_bandwidth() -> float:
    """Bytes read and written per second by a copy of 1 GiB within the device."""
    import torch

    source = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    times = milliseconds(lambda: target.copy_(source), 0.5)
    return 2 * source.numel() / (statistics.median(times) / 1000)


def _engine(regions: Regions) -> Callable[[], object]:
    """All of the engine's way: a call for each region, and their results in one tensor; none is held for later."""
    import torch

    import vista_fast as vf
    from vista_fast.devices import DeviceStore, register_preprocess

    engine = vf.Engine()
    register_preprocess(engine, DeviceStore("cuda"), budget_bytes=0, max_batch=regions.workload.rows)
    return lambda: torch.cat([result["pixel_values"].tensor() for result in regions.preprocess(engine)])


def _torchvision(regions: Regions) -> Callable[[], object]:
    """One resize per region, because its tensors have one size; the rest as one expression per region."""
    import torch
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    call = regions.patchify()
    sizes = call.sizes.tolist()
    crops = [regions.crop(n).permute(2, 0, 1) for n in range(len(sizes))]

    def run() -> torch.Tensor:
        rows = []
        for crop, size in zip(crops, sizes, strict=True):
            resized = functional.resize(crop, size, interpolation=InterpolationMode.BICUBIC, antialias=True)
            values = functional.normalize(functional.to_dtype(resized, torch.float32, scale=True), call.mean, call.std)
            rows.append(patches_of(values, call.patch_size, call.merge_size, call.temporal_patch_size))
        return torch.cat(rows)

    return run


def dali_patches(regions: Regions) -> Callable[[], torch.Tensor]:
    """A pipeline of its own, that runs ahead, over crops that are cut out beforehand and never copied; on the CPU for
    tests."""
    import numpy as np
    import torch
    from nvidia import dali

    call = regions.patchify()
    crops = [regions.crop(n).contiguous() for n in range(len(regions.rows))]
    on_gpu = crops[0].is_cuda
    pixels = crops if on_gpu else [crop.numpy() for crop in crops]
    sizes = [np.array(size, np.float32) for size in call.sizes.tolist()]
    pipeline = dali.Pipeline(
        batch_size=len(crops),
        num_threads=4,
        device_id=torch.cuda.current_device() if on_gpu else None,
        prefetch_queue_depth=2,
    )
    with pipeline:
        images = dali.fn.external_source(
            source=lambda: pixels, batch=True, device="gpu" if on_gpu else "cpu", layout="HWC", no_copy=True
        )
        size = dali.fn.external_source(source=lambda: sizes, batch=True)
        resized = dali.fn.resize(images, size=size, interp_type=dali.types.INTERP_CUBIC, antialias=True)
        pipeline.set_outputs(
            dali.fn.crop_mirror_normalize(
                resized,
                dtype=dali.types.FLOAT,
                output_layout="CHW",
                mean=[255 * value for value in call.mean],
                std=[255 * value for value in call.std],
            )
        )
    pipeline.build()

    def run() -> torch.Tensor:
        (batch,) = pipeline.run(torch.cuda.current_stream()) if on_gpu else pipeline.run()
        rows = [torch.from_dlpack(batch[n]) if on_gpu else torch.from_numpy(batch.at(n)) for n in range(len(batch))]
        return torch.cat([patches_of(row, call.patch_size, call.merge_size, call.temporal_patch_size) for row in rows])

    return run


def _transformers(regions: Regions) -> Callable[[], object]:
    import transformers

    low, high = regions.workload.pixels
    processor = transformers.Qwen2VLImageProcessor(size={"shortest_edge": low, "longest_edge": high})
    crops = [regions.crop(n).permute(2, 0, 1).contiguous() for n in range(len(regions.rows))]
    return lambda: processor(images=crops, device="cuda", return_tensors="pt")["pixel_values"]


def patches_of(values: torch.Tensor, patch: int, merge: int, temporal: int) -> torch.Tensor:
    """[3, height, width] as Qwen-VL's patches."""
    _, height, width = values.shape
    groups = values.view(3, height // (patch * merge), merge, patch, width // (patch * merge), merge, patch)
    groups = groups.permute(1, 4, 2, 5, 0, 3, 6).unsqueeze(5).expand(-1, -1, -1, -1, -1, temporal, -1, -1)
    return groups.reshape(-1, 3 * temporal * patch * patch)


def _measure(regions: Regions, bandwidth: float, seconds: float) -> dict[str, object]:
    call = regions.patchify()
    moved = regions.bytes_read + call.out_shape[0] * call.out_shape[1] * call.dtype.itemsize
    times: dict[str, list[float]] = {}
    missing: dict[str, str] = {}
    for name, make in candidates(regions).items():
        try:
            times[name] = milliseconds(make(), seconds)
        except Exception as error:  # a peer that is absent or fails has no time, and says why
            missing[name] = f"{type(error).__name__}: {error}"[:300]
    shares = {name: moved / (statistics.median(found) / 1000) / bandwidth for name, found in times.items()}
    ours = min((name for name in OURS if name in times), key=lambda name: statistics.median(times[name]), default=None)
    ratios = {
        name: [slow / fast for slow, fast in zip(found, times[ours], strict=True)]
        for name, found in times.items()
        if ours is not None and name not in OURS
    }
    return {
        "workload": regions.workload.name,
        "rows": regions.workload.rows,
        "bytes_moved": moved,
        "ms": times,
        "share_of_copy_bandwidth": shares,
        "best_of_ours": ours,
        "ratio": ratios,
        "not_measured": missing,
    }


def candidates(regions: Regions) -> dict[str, Callable[[], Callable[[], object]]]:
    """What makes each candidate, ours first: from decoded pixels on the GPU to float32 patches there."""
    from vista_fast.kernels import crop_patchify, cuda_library

    call = regions.patchify()
    return {
        "Triton": lambda: lambda: crop_patchify.crop_resize_patchify(call),
        "CUDA C++": lambda: lambda: cuda_library.crop_resize_patchify(call),
        "cuda.preprocess": lambda: _engine(regions),
        "torchvision v2": lambda: _torchvision(regions),
        "DALI": lambda: dali_patches(regions),
        "transformers": lambda: _transformers(regions),
    }


def milliseconds(run: Callable[[], object], seconds: float) -> list[float]:
    """Repeats, each the mean of runs one after the other, between two events of the device: as many runs as fit in its
    share of ``seconds`` (at least one), after a first run that compiles and tunes. What the host does for a run counts
    where the device has to wait for it."""
    import torch

    run()
    torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    torch.cuda.synchronize()
    runs = max(1, int(seconds / REPEATS / (time.perf_counter() - started)))
    means = []
    for _ in range(REPEATS):
        first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        first.record()
        for _ in range(runs):
            run()
        last.record()
        last.synchronize()
        means.append(first.elapsed_time(last) / runs)
    return means
