"""What the resizing kernels share: the filter, and the resized tile of one row of a ragged batch.

A resize is two small matrix products, ``down @ crop @ across.T`` (see ``reference``), whose matrices are zero outside
a narrow band. One program computes one output tile of one row: it walks over the part of the crop that the tile can
see in chunks, makes the chunk's weights in registers, and multiplies from both sides. The grid has as many programs
per row as the largest output has tiles; those past the end of a smaller one store nothing.

Samples are whole numbers under 256, and so exact in float16: the products run on tensor cores, which add up in
float32, and each weight goes in as the sum of two float16. ``cuda_library`` has a faster variant where it was built.
Tests run the kernels in Triton's interpreter; ``scripts/gpu_check.sh`` compares and times them on a GPU.
"""

# Triton reads a kernel's annotations as its language, so kernels carry none for mypy.
# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from vista_fast.errors import InvalidArgumentError, MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

try:
    import triton
    import triton.language as tl
except ImportError as error:
    raise MissingExtraError(
        f"vista_fast.kernels needs Triton ({error}); pip install 'vista-fast[gpu]', or use "
        "vista_fast.kernels.reference, which needs torch alone"
    ) from error


__all__ = [
    "INTERPRETED",
    "Blocks",
    "check_device",
    "end_tap",
    "filter_weight",
    "first_tap",
    "launch",
    "most_tiles",
    "on",
    "on_device",
    "output",
    "resized_tile",
    "table",
    "tile_sizes",
    "tl",
    "triton",
    "tuned",
]


@dataclass(frozen=True, slots=True)
class Blocks:
    """Tile sizes, powers of two of at least 16: ``height`` x ``width`` outputs per program, and ``taps_y`` x
    ``taps_x`` crop samples per chunk."""

    height: int = 16
    width: int = 32
    taps_y: int = 32
    taps_x: int = 64

    def __post_init__(self) -> None:
        for side in (self.height, self.width, self.taps_y, self.taps_x):
            if side < 16 or side & (side - 1):
                raise InvalidArgumentError(f"{self} has a side of {side}; use powers of two of at least 16")

    @property
    def constants(self) -> dict[str, int]:
        """The same as a kernel's arguments."""
        return {"BLOCK_Y": self.height, "BLOCK_X": self.width, "TAPS_Y": self.taps_y, "TAPS_X": self.taps_x}


@triton.jit
def _distance(x, i, length, size):
    """Distance of sample x from the centre of output i in units of the stretched filter."""
    # The reciprocal is of a scalar: a division of each weight would cost more than all that becomes of it.
    unit = 1.0 / (2 * tl.maximum(length, size)).to(tl.float32)
    return (size * (2 * x + 1) - length * (2 * i + 1)).to(tl.float32) * unit


@triton.jit
def filter_weight(x, i, length, size, BICUBIC: tl.constexpr):
    """Weight of sample x in output i, before the weights of an output are divided by their sum."""
    distance = tl.abs(_distance(x, i, length, size))
    if BICUBIC:
        near = (1.5 * distance - 2.5) * distance * distance + 1
        far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
        value = tl.where(distance < 1, near, tl.where(distance < 2, far, 0.0))
    else:
        value = tl.maximum(1 - distance, 0.0)
    return value


@triton.jit
def first_tap(i, length, size, SUPPORT: tl.constexpr):
    """The first sample that output i can see."""
    reach = length * (2 * i + 1) - 2 * SUPPORT * tl.maximum(length, size)
    return tl.maximum(reach, 0) // (2 * size)


@triton.jit
def end_tap(i, length, size, SUPPORT: tl.constexpr):
    """One past the last sample that output i can see."""
    reach = length * (2 * i + 1) + 2 * SUPPORT * tl.maximum(length, size)
    return tl.minimum(reach // (2 * size) + 1, length)


@triton.jit
def _level(value, ROUND: tl.constexpr):
    """A grey level from 0 to 255, a whole one if the pass ends as Pillow's does."""
    if ROUND:
        value = tl.floor(value + 0.5)
    return tl.minimum(tl.maximum(value, 0.0), 255.0)


@triton.jit
def _halves(value):
    """``value`` as the sum of two float16: 22 bits of it, or down to 2**-25."""
    high = value.to(tl.float16)
    return high, (value - high.to(tl.float32)).to(tl.float16)


@triton.jit
def _first_pass(levels, across_high, across_low):
    """Samples are whole numbers under 256 and as such exact in float16, whose products the tensor cores add up in
    float32; only the weights have to be split."""
    return tl.dot(levels, across_low, tl.dot(levels, across_high))


@triton.jit
def _second_pass(total, down_high, down_low, lines, across_scale, ROUND: tl.constexpr):
    lines = lines * across_scale[None, :]
    if ROUND:
        levels = _level(lines, True).to(tl.float16)
        total = tl.dot(down_high, levels, tl.dot(down_low, levels, total))
    else:
        high, low = _halves(lines)
        total = tl.dot(down_low, high, tl.dot(down_high, low, total))
        total = tl.dot(down_high, high, total)
    return total


@triton.jit
def resized_tile(
    pixels,
    crop,  # int64 [10], see RaggedImages.crops
    tile,
    SUPPORT: tl.constexpr,
    ROUND: tl.constexpr,
    BLOCK_Y: tl.constexpr,
    BLOCK_X: tl.constexpr,
    TAPS_Y: tl.constexpr,
    TAPS_X: tl.constexpr,
):
    """Red, green and blue of one tile, float32 [BLOCK_Y, BLOCK_X] grey levels from 0 to 255; then the positions of its
    outputs down and across, int32 [BLOCK_Y, BLOCK_X], and which of them lie inside.

    x names the axis that is resized first, y the other, and a turned crop has them exchanged.
    """
    corner = pixels + tl.load(crop)
    step_y = tl.load(crop + 1).to(tl.int32)
    length_y = tl.load(crop + 2).to(tl.int32)
    size_y = tl.load(crop + 3).to(tl.int32)
    step_x = tl.load(crop + 4).to(tl.int32)
    length_x = tl.load(crop + 5).to(tl.int32)
    size_x = tl.load(crop + 6).to(tl.int32)
    tiles_x = tl.cdiv(size_x, BLOCK_X)
    first_i = (tile // tiles_x) * BLOCK_Y
    first_j = (tile % tiles_x) * BLOCK_X
    i = first_i + tl.arange(0, BLOCK_Y)
    j = first_j + tl.arange(0, BLOCK_X)
    y_begin = first_tap(first_i, length_y, size_y, SUPPORT)
    y_end = end_tap(tl.minimum(first_i + BLOCK_Y, size_y) - 1, length_y, size_y, SUPPORT)
    x_begin = first_tap(first_j, length_x, size_x, SUPPORT)
    x_end = end_tap(tl.minimum(first_j + BLOCK_X, size_x) - 1, length_x, size_x, SUPPORT)
    y_end = tl.where(first_i < size_y, y_end, y_begin)

    red = tl.zeros((BLOCK_Y, BLOCK_X), tl.float32)
    green = tl.zeros((BLOCK_Y, BLOCK_X), tl.float32)
    blue = tl.zeros((BLOCK_Y, BLOCK_X), tl.float32)
    down_sum = tl.zeros((BLOCK_Y,), tl.float32)
    for y_chunk in range(y_begin, y_end, TAPS_Y):
        y = y_chunk + tl.arange(0, TAPS_Y)
        down = filter_weight(y[None, :], i[:, None], length_y, size_y, SUPPORT == 2)
        down = tl.where(y[None, :] < y_end, down, 0.0)
        down_sum += tl.sum(down, 1)

        red_lines = tl.zeros((TAPS_Y, BLOCK_X), tl.float32)
        green_lines = tl.zeros((TAPS_Y, BLOCK_X), tl.float32)
        blue_lines = tl.zeros((TAPS_Y, BLOCK_X), tl.float32)
        across_sum = tl.zeros((BLOCK_X,), tl.float32)
        for x_chunk in range(x_begin, x_end, TAPS_X):
            x = x_chunk + tl.arange(0, TAPS_X)
            across = filter_weight(x[:, None], j[None, :], length_x, size_x, SUPPORT == 2)
            across = tl.where(x[:, None] < x_end, across, 0.0)
            across_sum += tl.sum(across, 0)
            sample = corner + y[:, None] * step_y + x[None, :] * step_x
            inside = (y[:, None] < y_end) & (x[None, :] < x_end)
            across_high, across_low = _halves(across)
            r = tl.load(sample, mask=inside, other=0).to(tl.float16)
            red_lines += _first_pass(r, across_high, across_low)
            g = tl.load(sample + 1, mask=inside, other=0).to(tl.float16)
            green_lines += _first_pass(g, across_high, across_low)
            b = tl.load(sample + 2, mask=inside, other=0).to(tl.float16)
            blue_lines += _first_pass(b, across_high, across_low)
        # Outputs past the edge may see no sample at all; they are never stored.
        across_scale = 1.0 / tl.where(j < size_x, across_sum, 1.0)
        down_high, down_low = _halves(down)
        red = _second_pass(red, down_high, down_low, red_lines, across_scale, ROUND)
        green = _second_pass(green, down_high, down_low, green_lines, across_scale, ROUND)
        blue = _second_pass(blue, down_high, down_low, blue_lines, across_scale, ROUND)

    down_scale = (1.0 / tl.where(i < size_y, down_sum, 1.0))[:, None]
    red = _level(red * down_scale, ROUND)
    green = _level(green * down_scale, ROUND)
    blue = _level(blue * down_scale, ROUND)
    inside = (i[:, None] < size_y) & (j[None, :] < size_x)
    turned = tl.load(crop + 7) != 0
    down_at = tl.where(turned, j[None, :], i[:, None])
    across_at = tl.where(turned, i[:, None], j[None, :])
    return red, green, blue, down_at, across_at, inside


_tuning = threading.Lock()

INTERPRETED = not isinstance(resized_tile, triton.JITFunction)


_TILES: tuple[tuple[dict[str, int], int], ...] = (
    (Blocks(16, 32, 16, 32).constants, 4),
    (Blocks(16, 32, 32, 32).constants, 4),
    (Blocks(16, 64, 32, 32).constants, 4),
    (Blocks(16, 64, 32, 32).constants, 8),
    (Blocks(32, 32, 32, 32).constants, 4),
    (Blocks(32, 64, 32, 32).constants, 8),
    (Blocks(32, 64, 32, 64).constants, 8),
)


def tuned(kernel: Any, key: list[str], choices: Iterable[tuple[dict[str, int], int]] = _TILES) -> Any:
    """``kernel``, measuring the ``choices`` of its constants and warps (default: seven of Blocks) at its first launch
    of each ``key``; the best is remembered, in this process and in Triton's cache folder on disk (TRITON_CACHE_DIR) for
    later ones."""
    configs = [triton.Config(constants, num_warps=warps) for constants, warps in choices]
    return triton.autotune(configs=configs, key=key, cache_results=True)(kernel)


def launch(
    kernel: Any,
    tuned_kernel: Any,
    grid: Callable[[dict[str, Any]], tuple[int, ...]],
    constants: dict[str, int],
    *,
    tune: bool = True,
    **arguments: Any,
) -> None:
    """Launches with the best choice of the tuning on the device of ``out``, or with these ``constants``: where ``tune``
    is false, under the interpreter, which has nothing to tune, and where the device has no memory left for tuning."""
    with on(arguments["out"].device):
        if tune and not INTERPRETED:
            try:
                # Triton's tuner keeps a launch's arguments in itself.
                with _tuning:
                    tuned_kernel[grid](**arguments)
            except torch.OutOfMemoryError:
                pass
            else:
                return
        kernel[grid](**arguments, **constants)


def on(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """Makes ``device`` the current one, where Triton launches whatever the tensors say."""
    if device.type != "cuda":
        return contextlib.nullcontext()
    current: contextlib.AbstractContextManager[object] = torch.cuda.device(device)
    return current


def check_device(tensor: torch.Tensor, what: str) -> None:
    """Raises InvalidArgumentError when a kernel can't run where the tensor lies."""
    if tensor.device.type == "cpu" and not INTERPRETED:
        raise InvalidArgumentError(
            f"{what} lie on the CPU, where Triton kernels do not run; move them to 'cuda', use "
            "vista_fast.kernels.reference, or set TRITON_INTERPRET=1 before the import to run the interpreter"
        )


def output(out: torch.Tensor | None, shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """``out`` if it fits, or a new tensor. Raises InvalidArgumentError when it does not."""
    if out is None:
        return torch.empty(shape, dtype=dtype, device=device)
    if out.shape != shape or out.dtype != dtype or out.device != device or not out.is_contiguous():
        raise InvalidArgumentError(
            f"out is {out.dtype} {list(out.shape)} on {out.device}; pass a contiguous {dtype} tensor "
            f"{list(shape)} on {device}"
        )
    return out


def table(columns: list[torch.Tensor], device: torch.device) -> torch.Tensor:
    """The integer columns side by side, int64 [rows, columns] on ``device``: one copy for all that a launch needs."""
    return on_device(torch.stack([column.cpu().long() for column in columns], 1), device)


def on_device(rows: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A small tensor of the host on ``device``, for work on the current stream; nothing waits."""
    if device.type != "cuda":
        return rows.to(device)
    with on(device):  # pinning makes a context on the current device
        return rows.pin_memory().to(device, non_blocking=True)


def tile_sizes(rows: npt.NDArray[np.int64]) -> tuple[tuple[int, int], ...]:
    """The distinct (y, x) output sizes of ``RaggedImages.crops``."""
    return tuple(set(zip(rows[:, 3].tolist(), rows[:, 6].tolist(), strict=True)))


@functools.lru_cache(maxsize=256)
def most_tiles(sizes: tuple[tuple[int, int], ...], height: int, width: int) -> int:
    """Tiles of ``height`` x ``width`` that cover the largest of the (y, x) sizes."""
    return max(-(-size_y // height) * -(-size_x // width) for size_y, size_x in sizes)
