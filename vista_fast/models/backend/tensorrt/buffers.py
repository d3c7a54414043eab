"""Memory that a lane keeps from call to call: on the device, and pinned on the host for the way there and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Buffer:
    """Bytes that grow when more are asked for and never shrink. ``moved`` counts how often their address changed."""

    def __init__(self, *, pinned: bool = False) -> None:
        """On the current CUDA device; with ``pinned`` in page-locked memory of the host."""
        self._pinned = pinned
        self._bytes: torch.Tensor | None = None
        self.moved = 0

    def reserve(self, size: int) -> torch.Tensor:
        """The buffer as uint8 [at least ``size``].

        Raises:
            torch.OutOfMemoryError: the device has no room for it; what the buffer held is given back then.
        """
        import torch

        if self._bytes is None or self._bytes.numel() < size:
            self._bytes = None
            self.moved += 1
            if self._pinned:
                self._bytes = torch.empty(max(size, 1), dtype=torch.uint8, pin_memory=True)
            else:
                self._bytes = torch.empty(max(size, 1), dtype=torch.uint8, device="cuda")
        return self._bytes

    def view(self, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        """The start of the buffer as a contiguous tensor, which the next call overwrites."""
        size = math.prod(shape) * dtype.itemsize
        return self.reserve(size)[:size].view(dtype).view(tuple(shape))


class Memory:
    """Device memory of a lane's executions, which share it, because they run one after the other.

    ``scratch``: what an execution itself works in.
    """

    def __init__(self) -> None:
        self.scratch = Buffer()
        self._tensors: dict[tuple[int, str], Buffer] = {}

    def tensor(self, profile: int, name: str) -> Buffer:
        """The buffer of an input or output under a profile."""
        return self._tensors.setdefault((profile, name), Buffer())

    @property
    def moved(self) -> int:
        """How often an address in it has changed."""
        return self.scratch.moved + sum(buffer.moved for buffer in self._tensors.values())
