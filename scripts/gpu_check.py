"""Checks the Triton kernels against their references on a GPU, and times them beside torch.

Prints a table and writes ``<results>/gpu_kernels.json``. Exit codes: 0 all agree, 1 no usable GPU, 2 a disagreement.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from vista_fast.kernels.ragged import CropResize

EXIT_NO_GPU = 1
EXIT_DISAGREES = 2


@dataclass(frozen=True)
class Workload:
    """A batch as rollouts make it: ``rows`` random crops of images with sides in ``sides``, resized to ``size``."""

    name: str
    rows: int
    images: int
    sides: tuple[int, int]
    crop: tuple[float, float]
    size: int


WORKLOADS = (
    Workload("zoom: small regions enlarged", 128, 32, (600, 1280), (0.1, 0.4), 448),
    Workload("whole pages shrunk", 64, 32, (900, 2000), (0.8, 1.0), 448),
    Workload("thumbnails for a tiny policy", 256, 64, (224, 640), (0.5, 1.0), 112),
)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--results", type=Path, default=Path("benchmarks/results"), help="folder of the JSON")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--seconds", type=float, default=0.5, help="time spent measuring each candidate")
    arguments = options.parse_args()

    problem = gpu_problem()
    if problem is not None:
        print(f"gpu_check: {problem}", file=sys.stderr)
        return EXIT_NO_GPU

    records = [measure(workload, arguments.seed, arguments.seconds) for workload in WORKLOADS]
    report = {"machine": machine(), "seed": arguments.seed, "records": records}
    arguments.results.mkdir(parents=True, exist_ok=True)
    target = arguments.results / "gpu_kernels.json"
    target.write_text(json.dumps(report, indent=2) + "\n")
    print(f"wrote {target}")
    return 0 if all(record["agrees"] for record in records) else EXIT_DISAGREES


def gpu_problem() -> str | None:
    """Why nothing can be measured here, or None."""
    if os.environ.get("TRITON_INTERPRET", "0") not in ("", "0"):
        return "TRITON_INTERPRET is set, so kernels would be interpreted on the CPU; unset it"
    try:
        import torch
    except ImportError:
        return "torch is not installed; pip install torch (a build for CUDA)"
    if torch.version.cuda is None:
        return f"torch {torch.__version__} is built without CUDA; install a build for CUDA"
    if not torch.cuda.is_available():
        return f"torch {torch.__version__} finds no CUDA device; check nvidia-smi and the driver"
    try:
        import vista_fast.kernels.crop_resize  # noqa: F401
    except ImportError as error:
        return str(error)
    return None


def machine() -> dict[str, str]:
    import torch
    import triton

    return {
        "gpu": torch.cuda.get_device_name(),
        "capability": ".".join(map(str, torch.cuda.get_device_capability())),
        "cuda": str(torch.version.cuda),
        "torch": torch.__version__,
        "triton": triton.__version__,
        "python": platform.python_version(),
    }


def measure(workload: Workload, seed: int, seconds: float) -> dict[str, object]:
    from vista_fast.kernels import crop_resize, reference

    call = make_call(workload, seed)
    started = time.perf_counter()
    got = crop_resize.crop_resize_normalise(call)
    synchronise()
    compiled = time.perf_counter() - started
    difference = (got - reference.crop_resize_normalise(call)).abs().max().item()
    # Normalised values lie within about +-2.7; float32 sums over some hundred taps differ in the last few bits.
    agrees = difference <= 1e-4

    kernel = milliseconds(lambda: crop_resize.crop_resize_normalise(call), seconds)
    peer = milliseconds(lambda: torch_interpolate(call), seconds)
    ratios = [slow / fast for slow, fast in zip(peer, kernel, strict=True)]
    print(
        f"{workload.name}: kernel {median(kernel):.3f} ms, torch interpolate per crop {median(peer):.3f} ms, "
        f"{median(ratios):.1f}x ({min(ratios):.1f} to {max(ratios):.1f}), max difference {difference:.1e} "
        f"{'ok' if agrees else 'DISAGREES'}, first launch {compiled:.1f} s"
    )
    return {
        "workload": workload.name,
        "rows": workload.rows,
        "size": workload.size,
        "kernel_ms": kernel,
        "torch_ms": peer,
        "ratio": ratios,
        "max_difference": difference,
        "agrees": agrees,
        "first_launch_s": compiled,
    }


def make_call(workload: Workload, seed: int) -> CropResize:
    """The workload's pixels on the GPU, its small tensors on the CPU, as a caller would hold them."""
    import torch
    from vista_fast.kernels.ragged import CropResize, RaggedImages

    random = torch.Generator().manual_seed(seed)

    def integers(low: int, high: int, count: int) -> list[int]:
        return [int(value) for value in torch.randint(low, high + 1, (count,), generator=random)]

    heights, widths = integers(*workload.sides, workload.images), integers(*workload.sides, workload.images)
    images = [
        torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=random)
        for height, width in zip(heights, widths, strict=True)
    ]
    rows = integers(0, workload.images - 1, workload.rows)
    boxes = []
    for row in rows:
        share = [workload.crop[0] + (workload.crop[1] - workload.crop[0]) * v for v in torch.rand(2, generator=random)]
        width, height = max(1, int(widths[row] * share[0])), max(1, int(heights[row] * share[1]))
        left, top = integers(0, widths[row] - width, 1)[0], integers(0, heights[row] - height, 1)[0]
        boxes.append((left, top, left + width, top + height))
    packed = RaggedImages.pack(images)
    packed = RaggedImages(packed.pixels.to("cuda"), packed.offsets, packed.shapes)
    return CropResize(packed, torch.tensor(rows), torch.tensor(boxes), (workload.size, workload.size))


def torch_interpolate(call: CropResize) -> torch.Tensor:
    """The peer: torch's antialiased interpolate, crop by crop (it takes one size per call), normalised as one batch."""
    import torch

    resized = []
    for row, (left, top, right, bottom) in zip(call.rows.tolist(), call.boxes.tolist(), strict=True):
        crop = call.images.image(row)[top:bottom, left:right].permute(2, 0, 1).unsqueeze(0).float()
        resized.append(torch.nn.functional.interpolate(crop, size=call.size, mode=call.filter, antialias=True))
    scale = torch.tensor(call.scale, device="cuda").view(1, 3, 1, 1)
    shift = torch.tensor(call.shift, device="cuda").view(1, 3, 1, 1)
    return torch.cat(resized).clamp_(0, 255).mul_(scale).add_(shift)


def milliseconds(run: Callable[[], object], seconds: float) -> list[float]:
    """Five measurements, each the mean of as many runs as fit in a fifth of ``seconds`` (at least one)."""
    run()
    synchronise()
    means = []
    for _ in range(5):
        runs, started = 0, time.perf_counter()
        while not runs or time.perf_counter() - started < seconds / 5:
            run()
            synchronise()
            runs += 1
        means.append((time.perf_counter() - started) / runs * 1000)
    return means


def synchronise() -> None:
    import torch

    torch.cuda.synchronize()


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


if __name__ == "__main__":
    sys.exit(main())
