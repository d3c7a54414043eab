"""Images of different sizes in one buffer, and the checks that a call over them has to pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch

from vista_fast.errors import InvalidArgumentError

if TYPE_CHECKING:
    import numpy.typing as npt

Filter: TypeAlias = Literal["bilinear", "bicubic"]
"""Pillow's reconstruction filters of support 1 and 2; bicubic is Keys' kernel with a = -0.5."""

SUPPORT: dict[Filter, int] = {"bilinear": 1, "bicubic": 2}

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
"""What a kernel may write."""

Channels: TypeAlias = tuple[float, float, float]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Distances between samples are exact int32 numerators (see tiles): up to 2 * side * size, and at the reach of a filter
# up to 4 * side more.
_MAX_SIDE_TIMES_SIZE = 1 << 28
# The second axis of a CUDA grid.
MOST_ROWS = 65535
# Offsets within one image and within one output are int32.
_MAX_IMAGE_BYTES = (1 << 31) - 1


@dataclass(frozen=True, slots=True)
class RaggedImages:
    """RGB images of different sizes, packed one after the other.

    ``pixels`` is uint8 [bytes], each image row-major with interleaved channels; ``offsets`` int64 [M] is the first
    byte of each image; ``shapes`` int32 [M, 2] is each image's (height, width). ``pitches`` int32 [M] is the number of
    bytes from one line of an image to the next, as decoders that align lines leave it; None: 3 * width.
    """

    pixels: torch.Tensor
    offsets: torch.Tensor
    shapes: torch.Tensor
    pitches: torch.Tensor | None = None

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
        pitches = None if self.pitches is None else self.pitches.to(device)
        return RaggedImages(self.pixels.to(device), self.offsets.to(device), self.shapes.to(device), pitches)

    @property
    def line_bytes(self) -> torch.Tensor:
        """int32 [M]: ``pitches``, or what they are by default."""
        return self.shapes[:, 1] * 3 if self.pitches is None else self.pitches

    def image(self, number: int) -> torch.Tensor:
        """Image ``number`` as a view, uint8 [H, W, 3]."""
        height, width = (int(side) for side in self.shapes[number])
        start = int(self.offsets[number])
        return self.pixels.as_strided((height, width, 3), (int(self.line_bytes[number]), 3, 1), start)

    def crops(
        self, rows: torch.Tensor, boxes: torch.Tensor, sizes: torch.Tensor, rounded: bool
    ) -> npt.NDArray[np.int64]:
        """What a resizing kernel has to know of each row: int64 [N, 10].

        The first byte of the crop, then bytes per step, length and output size along the axis that is resized last and
        along the one that is resized first, whether the last is x (1), not y (0), and two zeros, which are for patches.
        """
        # By numpy, whose small arrays cost a third of torch's: a launch waits for this.
        number, (left, top, right, bottom) = rows.cpu().numpy().astype(np.int64), boxes.cpu().numpy().T.astype(np.int64)
        height, width = sizes.cpu().numpy().T
        pitch = self.line_bytes.cpu().numpy()[number]
        table = np.zeros((len(number), 10), np.int64)
        table[:, 0] = self.offsets.cpu().numpy()[number] + top * pitch + left * 3
        table[:, 1], table[:, 2], table[:, 3] = pitch, bottom - top, height
        table[:, 4], table[:, 5], table[:, 6] = 3, right - left, width
        if rounded and (turned := columns_first(boxes, sizes)).any():
            table[turned, 1:7] = table[turned][:, [4, 5, 6, 1, 2, 3]]
            table[:, 7] = turned
        return table


@dataclass(frozen=True, slots=True)
class CropResize:
    """What one launch does; every field is checked when it is made.

    Row n of the output is image ``rows[n]`` cropped to ``boxes[n]`` = (left, top, right, bottom), right and bottom
    outside, resized to ``size`` = (height, width) with ``filter`` and antialiasing, and normalised as
    (value / 255 - mean) / std per channel. ``rows`` is an integer tensor [N], ``boxes`` an integer tensor [N, 4].
    At most 65,535 rows. ``dtype`` is float32, float16 or bfloat16.

    ``rounded`` ends each of the two passes as Pillow and the native Ops do, at whole grey levels from 0 to 255: the
    result is theirs but for samples whose sum lies at a half, or so near to one that float32 falls on its other side,
    and that then differ by one level, hardly ever two: under 1 % with bicubic, a few per cent with bilinear. Without it
    nothing is rounded, and only the end is clamped.

    Raises InvalidArgumentError. The check reads the values, so it waits for the device they lie on: keep ``rows``,
    ``boxes`` and ``images.shapes`` on the CPU (only ``images.pixels`` is large), they are copied at the launch.
    """

    images: RaggedImages
    rows: torch.Tensor
    boxes: torch.Tensor
    size: tuple[int, int]
    filter: Filter = "bicubic"
    mean: Channels = IMAGENET_MEAN
    std: Channels = IMAGENET_STD
    dtype: torch.dtype = torch.float32
    rounded: bool = False

    def __post_init__(self) -> None:
        check_images(self.images)
        if len(self.size) != 2 or min(self.size) < 1 or self.size[0] * self.size[1] * 3 > _MAX_IMAGE_BYTES:
            raise InvalidArgumentError(
                f"size is {self.size}; pass (height, width), each at least 1 and 3 * height * width under 2**31"
            )
        check_arithmetic(self.filter, self.mean, self.std, self.dtype)
        check_rows(self.images, self.rows, self.boxes)
        check_scales(self.boxes, self.sizes)

    @property
    def sizes(self) -> torch.Tensor:
        """``size`` for each row, int64 [N, 2]."""
        return torch.tensor(self.size).expand(len(self.rows), 2)

    @property
    def table(self) -> npt.NDArray[np.int64]:
        """``RaggedImages.crops`` of the rows."""
        return self.images.crops(self.rows, self.boxes, self.sizes, self.rounded)

    @property
    def out_shape(self) -> tuple[int, int, int, int]:
        """[N, 3, height, width]."""
        return (len(self.rows), 3, *self.size)

    @property
    def scale(self) -> tuple[float, ...]:
        """Per channel: the factor that takes 0..255 to the normalised value, before ``shift`` is added."""
        return channel_scale(self.std)

    @property
    def shift(self) -> tuple[float, ...]:
        """Per channel: what is added after ``scale``."""
        return channel_shift(self.mean, self.std)


def columns_first(boxes: torch.Tensor, sizes: torch.Tensor) -> npt.NDArray[np.bool_]:
    """bool [N]: whether Pillow 13 resizes columns before rows, which shows where each pass is rounded."""
    left, top, right, bottom = boxes.cpu().numpy().T.astype(np.int64)
    height, width = sizes.cpu().numpy().T
    lost_rows, lost_columns = bottom - top - height, right - left - width
    turned: npt.NDArray[np.bool_] = (lost_rows > 0) & (lost_rows > 2 * lost_columns)
    return turned


def channel_scale(std: Channels) -> tuple[float, ...]:
    """1 / (255 * std)."""
    return tuple(1 / (255 * value) for value in std)


def channel_shift(mean: Channels, std: Channels) -> tuple[float, ...]:
    """-mean / std."""
    return tuple(-middle / spread for middle, spread in zip(mean, std, strict=True))


def check_images(images: RaggedImages) -> None:
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
    pitches = images.line_bytes
    if pitches.dtype != torch.int32 or pitches.shape != offsets.shape:
        raise InvalidArgumentError(
            f"pitches are {pitches.dtype} {list(pitches.shape)}; pass an int32 tensor [{len(offsets)}] or None"
        )
    heights, widths = shapes.to(torch.int64).unbind(1)
    sizes = (heights - 1) * pitches.to(shapes.device, torch.int64) + widths * 3
    outside = (shapes < 1).any(1) | (sizes > _MAX_IMAGE_BYTES) | (pitches.to(shapes.device) < widths * 3)
    outside |= (offsets.to(shapes.device) < 0) | (offsets.to(shapes.device) + sizes > pixels.numel())
    if bool(outside.any()):
        number = int(outside.nonzero()[0])
        raise InvalidArgumentError(
            f"image {number} (offset {int(offsets[number])}, shape {shapes[number].tolist()}) does not lie in the "
            f"{pixels.numel()} bytes of pixels; pack with RaggedImages.pack"
        )


def check_arithmetic(filter: Filter, mean: Channels, std: Channels, dtype: torch.dtype) -> None:
    """Raises InvalidArgumentError for a filter, a normalisation or a dtype that there is not."""
    if filter not in SUPPORT:
        raise InvalidArgumentError(f"filter is {filter!r}; use one of {', '.join(SUPPORT)}")
    if dtype not in FLOATS:
        raise InvalidArgumentError(f"dtype is {dtype}; use torch.float32, torch.float16 or torch.bfloat16")
    if len(mean) != 3 or len(std) != 3 or not all(value > 0 for value in std):
        raise InvalidArgumentError(f"mean {mean} and std {std} must be three numbers each, std above 0")


def check_rows(images: RaggedImages, rows: torch.Tensor, boxes: torch.Tensor) -> None:
    """Raises InvalidArgumentError when a row names no image, or its box is empty or leaves the image."""
    shapes = images.shapes
    if rows.is_floating_point() or rows.ndim != 1:
        raise InvalidArgumentError(f"rows are {rows.dtype} {list(rows.shape)}; pass an integer tensor [N]")
    if boxes.is_floating_point() or boxes.shape != (len(rows), 4):
        raise InvalidArgumentError(
            f"boxes are {boxes.dtype} {list(boxes.shape)}; pass an integer tensor [{len(rows)}, 4] of "
            "(left, top, right, bottom) in pixels"
        )
    if len(rows) > MOST_ROWS:
        raise InvalidArgumentError(f"there are {len(rows)} rows; pass at most {MOST_ROWS} to one launch")
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


def check_scales(boxes: torch.Tensor, sizes: torch.Tensor) -> None:
    """Raises InvalidArgumentError when a crop of ``boxes`` [N, 4] and its (height, width) of ``sizes`` [N, 2] are so
    large that distances between samples leave int32."""
    if not len(boxes):
        return
    left, top, right, bottom = boxes.cpu().long().unbind(1)
    sides = torch.stack([bottom - top, right - left], 1)
    products = sides.amax(1) * sizes.cpu().long().amax(1)
    worst = int(products.argmax())
    if int(products[worst]) >= _MAX_SIDE_TIMES_SIZE:
        raise InvalidArgumentError(
            f"a crop side of {int(sides[worst].max())} pixels to size {tuple(sizes[worst].tolist())} is too large; "
            f"their product must stay under {_MAX_SIDE_TIMES_SIZE}"
        )
