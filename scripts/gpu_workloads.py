"""Batches as rollouts make them, for gpu_check: random crops of random images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from vista_fast.kernels.calls import CropPatchify
    from vista_fast.kernels.ragged import CropResize, RaggedImages

    import vista_fast as vf


@dataclass(frozen=True)
class Workload:
    """``rows`` random crops of ``images`` images with sides in ``sides``; a crop's sides are ``crop`` of its image's.
    ``size`` is the side of a square output, and ``pixels`` the bounds of an output in Qwen-VL's sizes."""

    name: str
    rows: int
    images: int
    sides: tuple[int, int]
    crop: tuple[float, float]
    size: int
    pixels: tuple[int, int]


WORKLOADS = (
    Workload("256 regions", 256, 64, (600, 1280), (0.1, 0.6), 448, (56 * 56, 28 * 28 * 256)),
    Workload("small regions enlarged", 128, 32, (600, 1280), (0.1, 0.4), 448, (28 * 28 * 128, 28 * 28 * 512)),
    Workload("whole pages shrunk", 64, 32, (900, 2000), (0.8, 1.0), 448, (56 * 56, 28 * 28 * 256)),
    Workload("thumbnails for a tiny policy", 256, 64, (224, 640), (0.5, 1.0), 112, (56 * 56, 28 * 28 * 16)),
)


@dataclass(frozen=True)
class Regions:
    """A workload's data: pixels on the device, and the small tensors on the CPU, as a caller would hold them."""

    workload: Workload
    images: RaggedImages
    rows: torch.Tensor
    boxes: torch.Tensor

    def resize(self, **options: object) -> CropResize:
        """Every region as a square of the workload's size."""
        from vista_fast.kernels.ragged import CropResize

        side = (self.workload.size, self.workload.size)
        return CropResize(self.images, self.rows, self.boxes, side, **options)  # type: ignore[arg-type]

    def patchify(self, **options: object) -> CropPatchify:
        """Every region in Qwen-VL's size for it."""
        import torch
        from vista_fast.kernels.calls import CropPatchify, qwen_size

        low, high = self.workload.pixels
        sizes = [
            qwen_size(bottom - top, right - left, min_pixels=low, max_pixels=high)
            for left, top, right, bottom in self.boxes.tolist()
        ]
        return CropPatchify(self.images, self.rows, self.boxes, torch.tensor(sizes), **options)  # type: ignore[arg-type]

    def preprocess(self, engine: vf.Engine, **options: object) -> list[dict[str, Any]]:
        """The same patches as calls of the engine's Op on the device."""
        from vista_fast.devices import DeviceImage

        images = [DeviceImage(self.images.image(n), f"{n:032x}") for n in range(len(self.images.offsets))]
        low, high = self.workload.pixels
        calls = [
            {"image": images[row], "box": box, "min_pixels": low, "max_pixels": high} | options
            for row, box in zip(self.rows.tolist(), self.boxes.tolist(), strict=True)
        ]
        results: list[dict[str, Any]] = engine.submit_many("cuda.preprocess", calls).result()
        return results

    def crop(self, n: int) -> torch.Tensor:
        """Region n, a view uint8 [height, width, 3] on the device."""
        left, top, right, bottom = self.boxes[n].tolist()
        return self.images.image(int(self.rows[n]))[top:bottom, left:right]

    @property
    def bytes_read(self) -> int:
        """Of the crops; each sample once."""
        left, top, right, bottom = self.boxes.unbind(1)
        return int(((right - left) * (bottom - top)).sum()) * 3


def make_regions(workload: Workload, seed: int, device: str = "cuda") -> Regions:
    import torch
    from vista_fast.kernels.ragged import RaggedImages

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
        low, high = workload.crop
        share = [low + (high - low) * value for value in torch.rand(2, generator=random).tolist()]
        width, height = max(1, int(widths[row] * share[0])), max(1, int(heights[row] * share[1]))
        left, top = integers(0, widths[row] - width, 1)[0], integers(0, heights[row] - height, 1)[0]
        boxes.append((left, top, left + width, top + height))
    packed = RaggedImages.pack(images)
    packed = RaggedImages(packed.pixels.to(device), packed.offsets, packed.shapes)
    return Regions(workload, packed, torch.tensor(rows), torch.tensor(boxes))
