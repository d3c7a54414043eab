"""Images of different sizes in one buffer, and the checks that a call over them has to pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch

from vista_fast.errors import InvalidArgumentError

Filter: TypeAlias = Literal["bilinear", "bicubic"]
"""Pillow's reconstruction filters of support 1 and 2; bicubic is Keys' kernel with a = -0.5."""

SUPPORT: dict[Filter, int] = {"bilinear": 1, "bicubic": 2}

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Distances between samples are exact int32 numerators of up to 2 * side * size (see crop_resize).
_MAX_SIDE_TIMES_SIZE = 1 << 29
# Offsets within one image and within one output are int32.
_MAX_IMAGE_BYTES = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class RaggedImages:
    """RGB images of different sizes, packed one after the other.

    ``pixels`` is uint8 [bytes], each image row-major with interleaved channels; ``offsets`` int64 [M] is the first
    byte of each image; ``shapes`` int32 [M, 2] is each image's (height, width).
    """

    pixels: torch.Tensor
    offsets: torch.Tensor
    shapes: torch.Tensor

    @classmethod
    def pack(cls, images: Sequence[torch.Tensor]) -> RaggedImages:
        """Packs uint8 tensors [H, W, 3] of one device; one copy."""
        if not images:
            raise InvalidArgumentError("RaggedImages.pack got no image; pass at least one uint8 tensor [H, W, 3]")
        for number, image in enumerate(images):
            if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.numel() == 0:
                raise InvalidArgumentError(
                    f"image {number} is {image.dtype} {list(image.shape)}; pass a non-empty uint8 tensor [H, W, 3]"
                )
        sizes = torch.tensor([0] + [image.numel() for image in images], dtype=torch.int64)
        return cls(
            pixels=torch.cat([image.reshape(-1) for image in images]),
            offsets=sizes.cumsum(0)[:-1],
            shapes=torch.tensor([image.shape[:2] for image in images], dtype=torch.int32),
        )

    def to(self, device: torch.device | str) -> RaggedImages:
        """The same images on another device."""
        return RaggedImages(self.pixels.to(device), self.offsets.to(device), self.shapes.to(device))

    def image(self, number: int) -> torch.Tensor:
        """Image ``number`` as a view, uint8 [H, W, 3]."""
        height, width = (int(side) for side in self.shapes[number])
        start = int(self.offsets[number])
        return self.pixels[start : start + height * width * 3].view(height, width, 3)


@dataclass(frozen=True, slots=True)
class CropResize:
    """What one launch does; every field is checked when it is made.

    Row n of the output is image ``rows[n]`` cropped to ``boxes[n]`` = (left, top, right, bottom), right and bottom
    outside, resized to ``size`` = (height, width) with ``filter`` and antialiasing, and normalised as
    (value / 255 - mean) / std per channel. ``rows`` is an integer tensor [N], ``boxes`` an integer tensor [N, 4].

    Raises InvalidArgumentError. The check reads the values, so it waits for the device they lie on: keep ``rows``,
    ``boxes`` and ``images.shapes`` on the CPU (only ``images.pixels`` is large), they are copied at the launch.
    """

    images: RaggedImages
    rows: torch.Tensor
    boxes: torch.Tensor
    size: tuple[int, int]
    filter: Filter = "bicubic"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        _check_images(self.images)
        _check_options(self)
        _check_rows(self)

    @property
    def out_shape(self) -> tuple[int, int, int, int]:
        """[N, 3, height, width]."""
        return (len(self.rows), 3, *self.size)

    @property
    def scale(self) -> tuple[float, ...]:
        """Per channel: the factor that takes 0..255 to the normalised value, before ``shift`` is added."""
        return tuple(1 / (255 * std) for std in self.std)

    @property
    def shift(self) -> tuple[float, ...]:
        """Per channel: what is added after ``scale``."""
        return tuple(-mean / std for mean, std in zip(self.mean, self.std, strict=True))


def _check_images(images: RaggedImages) -> None:
    pixels, offsets, shapes = images.pixels, images.offsets, images.shapes
    if pixels.dtype != torch.uint8 or pixels.ndim != 1 or not pixels.is_contiguous():
        raise InvalidArgumentError(
            f"pixels are {pixels.dtype} {list(pixels.shape)}; pass one contiguous uint8 tensor [bytes]"
        )
    if offsets.dtype != torch.int64 or offsets.ndim != 1:
        raise InvalidArgumentError(f"offsets are {offsets.dtype} {list(offsets.shape)}; pass an int64 tensor [M]")
    if shapes.dtype != torch.int32 or shapes.shape != (len(offsets), 2):
        raise InvalidArgumentError(
            f"shapes are {shapes.dtype} {list(shapes.shape)}; pass an int32 tensor [{len(offsets)}, 2]"
        )
    sizes = shapes.to(torch.int64).prod(1) * 3
    outside = (shapes < 1).any(1) | (sizes > _MAX_IMAGE_BYTES)
    outside |= (offsets.to(shapes.device) < 0) | (offsets.to(shapes.device) + sizes > pixels.numel())
    if bool(outside.any()):
        number = int(outside.nonzero()[0])
        raise InvalidArgumentError(
            f"image {number} (offset {int(offsets[number])}, shape {shapes[number].tolist()}) does not lie in the "
            f"{pixels.numel()} bytes of pixels; pack with RaggedImages.pack"
        )


def _check_options(call: CropResize) -> None:
    if call.filter not in SUPPORT:
        raise InvalidArgumentError(f"filter is {call.filter!r}; use one of {', '.join(SUPPORT)}")
    if len(call.size) != 2 or min(call.size) < 1 or call.size[0] * call.size[1] * 3 > _MAX_IMAGE_BYTES:
        raise InvalidArgumentError(
            f"size is {call.size}; pass (height, width), each at least 1 and 3 * height * width under 2**31"
        )
    if call.dtype not in (torch.float32, torch.bfloat16):
        raise InvalidArgumentError(f"dtype is {call.dtype}; use torch.float32 or torch.bfloat16")
    if len(call.mean) != 3 or len(call.std) != 3 or not all(std > 0 for std in call.std):
        raise InvalidArgumentError(f"mean {call.mean} and std {call.std} must be three numbers each, std above 0")


def _check_rows(call: CropResize) -> None:
    rows, boxes, shapes = call.rows, call.boxes, call.images.shapes
    if rows.is_floating_point() or rows.ndim != 1:
        raise InvalidArgumentError(f"rows are {rows.dtype} {list(rows.shape)}; pass an integer tensor [N]")
    if boxes.is_floating_point() or boxes.shape != (len(rows), 4):
        raise InvalidArgumentError(
            f"boxes are {boxes.dtype} {list(boxes.shape)}; pass an integer tensor [{len(rows)}, 4] of "
            "(left, top, right, bottom) in pixels"
        )
    if not len(rows):
        return
    rows, boxes, shapes = rows.cpu().long(), boxes.cpu().long(), shapes.cpu().long()
    if int(rows.min()) < 0 or int(rows.max()) >= len(shapes):
        raise InvalidArgumentError(
            f"rows name images {int(rows.min())} to {int(rows.max())}, but there are {len(shapes)}; count from 0"
        )
    heights, widths = shapes[rows].unbind(1)
    left, top, right, bottom = boxes.unbind(1)
    outside = (left < 0) | (top < 0) | (right > widths) | (bottom > heights) | (left >= right) | (top >= bottom)
    if bool(outside.any()):
        number = int(outside.nonzero()[0])
        raise InvalidArgumentError(
            f"box {number} is {boxes[number].tolist()}, which is empty or leaves its image of "
            f"{int(widths[number])} x {int(heights[number])}; clamp boxes to the image first"
        )
    side = max(int((right - left).max()), int((bottom - top).max()))
    if side * max(call.size) >= _MAX_SIDE_TIMES_SIZE:
        raise InvalidArgumentError(
            f"a crop side of {side} pixels to size {call.size} is too large; their product must stay under "
            f"{_MAX_SIDE_TIMES_SIZE}"
        )
