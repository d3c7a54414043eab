"""What one launch of each of the other kernels does: the arguments, checked when they are made."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from vista_fast.errors import InvalidArgumentError

from .ragged import (
    FLOATS,
    MOST_ROWS,
    Channels,
    Filter,
    RaggedImages,
    channel_scale,
    channel_shift,
    check_arithmetic,
    check_images,
    check_rows,
    check_scales,
)

if TYPE_CHECKING:
    import numpy.typing as npt

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

_MOST_ASPECT = 200


@dataclass(frozen=True, slots=True)
class CropPatchify:
    """Regions of images as the ``pixel_values`` of Qwen2-VL, Qwen2.5-VL and Qwen3-VL.

    Row n is image ``rows[n]`` cropped to ``boxes[n]``, resized to ``sizes[n]`` = (height, width), normalised and cut
    into patches, each (channel, time, y, x) with the still image repeated in time; patches that the model merges lie
    together: (grid rows / merge, grid columns / merge, merge, merge). ``sizes`` is an integer tensor [N, 2] of
    multiples of ``patch_size * merge_size``; ``qwen_size`` gives the model's own. At most 65,535 rows.

    The other fields are those of ``CropResize``, with its checks; ``rounded`` is on by default, so that the values are
    those of ``image.preprocess`` but for one grey level, hardly ever two, in some samples. Raises InvalidArgumentError.
    """

    images: RaggedImages
    rows: torch.Tensor
    boxes: torch.Tensor
    sizes: torch.Tensor
    patch_size: int = 14
    merge_size: int = 2
    temporal_patch_size: int = 2
    filter: Filter = "bicubic"
    mean: Channels = CLIP_MEAN
    std: Channels = CLIP_STD
    dtype: torch.dtype = torch.float32
    rounded: bool = True

    def __post_init__(self) -> None:
        check_images(self.images)
        check_arithmetic(self.filter, self.mean, self.std, self.dtype)
        check_rows(self.images, self.rows, self.boxes)
        self._check_patches()
        check_scales(self.boxes, self.sizes)

    def _check_patches(self) -> None:
        if min(self.patch_size, self.merge_size, self.temporal_patch_size) < 1:
            raise InvalidArgumentError(
                f"patch_size {self.patch_size}, merge_size {self.merge_size} and temporal_patch_size "
                f"{self.temporal_patch_size} must be at least 1"
            )
        if self.sizes.is_floating_point() or self.sizes.shape != (len(self.rows), 2):
            raise InvalidArgumentError(
                f"sizes are {self.sizes.dtype} {list(self.sizes.shape)}; pass an integer tensor [{len(self.rows)}, 2] "
                "of (height, width) in pixels"
            )
        factor = self.patch_size * self.merge_size
        wrong = ((self.sizes < 1) | (self.sizes % factor != 0)).any(1)
        if bool(wrong.any()):
            number = int(wrong.nonzero()[0])
            raise InvalidArgumentError(
                f"size {number} is {self.sizes[number].tolist()}; both sides must be multiples of {factor} "
                "(patch_size * merge_size), see qwen_size"
            )

    @property
    def grid_thw(self) -> torch.Tensor:
        """int64 [N, 3]: patches of each row in time (1), down and across."""
        down, across = self._grid()
        return torch.from_numpy(np.stack([np.ones_like(down), down, across], 1))

    @property
    def table(self) -> npt.NDArray[np.int64]:
        """``RaggedImages.crops`` of the rows, with where the patches of each begin, and how many lie across."""
        table = self.images.crops(self.rows, self.boxes, self.sizes, self.rounded)
        down, across = self._grid()
        counts = down * across
        table[:, 8] = counts.cumsum() - counts
        table[:, 9] = across
        return table

    @property
    def out_shape(self) -> tuple[int, int]:
        """[patches of all rows, 3 * temporal_patch_size * patch_size**2]."""
        down, across = self._grid()
        return (int((down * across).sum()), 3 * self.temporal_patch_size * self.patch_size**2)

    def _grid(self) -> npt.NDArray[np.int64]:
        """Patches down and across, [2, N]."""
        grid: npt.NDArray[np.int64] = self.sizes.cpu().numpy().T.astype(np.int64) // self.patch_size
        return grid

    @property
    def scale(self) -> tuple[float, ...]:
        """As in ``CropResize``."""
        return channel_scale(self.std)

    @property
    def shift(self) -> tuple[float, ...]:
        """As in ``CropResize``."""
        return channel_shift(self.mean, self.std)


def qwen_size(
    height: int, width: int, factor: int = 28, min_pixels: int = 56 * 56, max_pixels: int = 28 * 28 * 1280
) -> tuple[int, int]:
    """The (height, width) to which Qwen-VL resizes a picture: multiples of ``factor`` (patch_size * merge_size), near
    the picture's aspect ratio, with a number of pixels between the limits.

    Raises InvalidArgumentError for an aspect ratio above 200.
    """
    if max(height, width) > _MOST_ASPECT * min(height, width):
        raise InvalidArgumentError(
            f"a picture of {width} x {height} pixels is longer than {_MOST_ASPECT} times its breadth; crop it first"
        )
    tall, wide = round(height / factor) * factor, round(width / factor) * factor
    if tall * wide > max_pixels:
        shrink = math.sqrt(height * width / max_pixels)
        tall = max(factor, math.floor(height / shrink / factor) * factor)
        wide = max(factor, math.floor(width / shrink / factor) * factor)
    elif tall * wide < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        tall, wide = math.ceil(height * grow / factor) * factor, math.ceil(width * grow / factor) * factor
    return tall, wide


@dataclass(frozen=True, slots=True)
class BoxOverlay:
    """Outlines of boxes, drawn over copies of images in order, as ``image.draw_boxes`` draws them.

    Outline n goes inside the edges of ``boxes[n]`` on image ``rows[n]``, ``widths[n]`` pixels thick, in
    ``colors[n]``. ``rows``, ``widths`` are integer tensors [N], ``boxes`` one [N, 4], ``colors`` uint8 [N, 3]. At most
    65,535 images. Raises InvalidArgumentError.
    """

    images: RaggedImages
    rows: torch.Tensor
    boxes: torch.Tensor
    colors: torch.Tensor
    widths: torch.Tensor

    def __post_init__(self) -> None:
        check_images(self.images)
        check_rows(self.images, self.rows, self.boxes)
        if len(self.images.offsets) > MOST_ROWS:
            raise InvalidArgumentError(f"there are {len(self.images.offsets)} images; pass at most {MOST_ROWS}")
        count = len(self.rows)
        if self.colors.dtype != torch.uint8 or self.colors.shape != (count, 3):
            raise InvalidArgumentError(
                f"colors are {self.colors.dtype} {list(self.colors.shape)}; pass a uint8 tensor [{count}, 3]"
            )
        if self.widths.is_floating_point() or self.widths.shape != (count,) or bool((self.widths < 1).any()):
            raise InvalidArgumentError(
                f"widths are {self.widths.dtype} {list(self.widths.shape)}; pass an integer tensor [{count}] of "
                "pixels, each at least 1"
            )


@dataclass(frozen=True, slots=True)
class MaskResize:
    """Masks resized to sizes of their own, and compared with a threshold.

    Mask n is ``scores[n]``, a floating tensor [N, height, width] of float32, float16 or bfloat16 with any strides,
    resized bilinearly (antialiased when it shrinks) to ``sizes[n]`` = (height, width) and set where the resized score
    is above ``threshold``. ``sizes`` is an integer tensor [N, 2]. At most 65,535 masks. Raises InvalidArgumentError.
    """

    scores: torch.Tensor
    sizes: torch.Tensor
    threshold: float = 0.0

    def __post_init__(self) -> None:
        scores, sizes = self.scores, self.sizes
        if scores.dtype not in FLOATS or scores.ndim != 3 or 0 in scores.shape[1:]:
            raise InvalidArgumentError(
                f"scores are {scores.dtype} {list(scores.shape)}; pass a tensor [N, height, width] of floats"
            )
        if sizes.is_floating_point() or sizes.shape != (len(scores), 2) or bool((sizes < 1).any()):
            raise InvalidArgumentError(
                f"sizes are {sizes.dtype} {list(sizes.shape)}; pass an integer tensor [{len(scores)}, 2] of (height, "
                "width) in pixels, each at least 1"
            )
        if len(scores) > MOST_ROWS:
            raise InvalidArgumentError(f"there are {len(scores)} masks; pass at most {MOST_ROWS} to one launch")
        height, width = scores.shape[1:]
        check_scales(torch.tensor([[0, 0, width, height]] * len(scores)), sizes)

    @property
    def offsets(self) -> torch.Tensor:
        """int64 [N]: where each mask begins in the output."""
        areas = self.sizes.cpu().long().prod(1)
        return areas.cumsum(0) - areas


@dataclass(frozen=True, slots=True)
class RaggedMasks:
    """Masks of different sizes, packed: ``values`` bool [pixels], ``offsets`` int64 [N], ``sizes`` int [N, 2]."""

    values: torch.Tensor
    offsets: torch.Tensor
    sizes: torch.Tensor

    def mask(self, number: int) -> torch.Tensor:
        """Mask ``number`` as a view, bool [height, width]."""
        height, width = (int(side) for side in self.sizes[number])
        start = int(self.offsets[number])
        return self.values[start : start + height * width].view(height, width)
