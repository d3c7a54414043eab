"""Keys and values: the arena that decodes, and the store of contexts that are not decoding right now."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

BUCKET = 32
"""Cached lengths are rounded up to a multiple of this, so that a step sees few distinct shapes."""


def bucketed(length: int) -> int:
    """``length`` rounded up to the bucket."""
    return -(-length // BUCKET) * BUCKET


class KVArena:
    """Keys and values of the rows that decode: [2, layers, rows, heads, capacity, head_dim].

    Rows 0 to B-1 are in use without gaps, so a step works on views; capacity grows to the longest row.
    """

    def __init__(
        self, layers: int, heads: int, head_dim: int, rows: int, dtype: torch.dtype, device: torch.device
    ) -> None:
        self._shape = (2, layers, rows, heads, 0, head_dim)
        self._data = torch.empty(self._shape, dtype=dtype, device=device)

    @property
    def capacity(self) -> int:
        """How many ids a row can hold."""
        return self._data.shape[4]

    def reserve(self, length: int) -> None:
        """Make room for rows of ``length`` ids; what rows hold is kept."""
        if length <= self.capacity:
            return
        capacity = bucketed(max(length, self.capacity * 3 // 2))
        grown = self._data.new_zeros(*self._shape[:4], capacity, self._shape[5])
        grown[:, :, :, :, : self.capacity] = self._data
        self._data = grown

    def layer(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of one layer: views [rows, heads, capacity, head_dim]."""
        return self._data[0, index], self._data[1, index]

    def save(self, row: int, length: int) -> torch.Tensor:
        """A copy of a row's first ``length`` ids: [2, layers, heads, length, head_dim]."""
        return self._data[:, :, row, :, :length].clone()

    def load(self, row: int, kept: torch.Tensor) -> None:
        """Put a saved copy into a row."""
        self.reserve(kept.shape[3])
        self._data[:, :, row, :, : kept.shape[3]] = kept

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` ids of row ``source`` over row ``target``."""
        self._data[:, :, target, :, :length] = self._data[:, :, source, :, :length]


@dataclass(frozen=True, slots=True)
class Context:
    """A computed context: ``kv`` covers ``ids`` (int64 [n]), the next id sits at ``position``, ``images`` lie within.

    ``logits`` [vocabulary] are those after the last id, kept where the context ends a prompt that others share.
    """

    ids: npt.NDArray[np.int64]
    images: tuple[str, ...]
    position: int
    kv: torch.Tensor
    logits: torch.Tensor | None = None

    def begins(self, ids: npt.NDArray[np.int64], images: tuple[str, ...]) -> bool:
        """Whether this context is a prefix of another."""
        return np.array_equal(ids[: len(self.ids)], self.ids) and images[: len(self.images)] == self.images

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        held = self.kv.numel() * self.kv.element_size()
        return held if self.logits is None else held + self.logits.numel() * self.logits.element_size()


class ContextStore:
    """Contexts by key within a budget of bytes; the least recently used is dropped (it is prefilled again)."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._contexts: OrderedDict[Hashable, Context] = OrderedDict()
        self._bytes = 0
        self.evictions = 0

    @property
    def nbytes(self) -> int:
        """Bytes held by all contexts."""
        return self._bytes

    def get(self, key: Hashable) -> Context | None:
        """The context under the key, which becomes the most recently used."""
        context = self._contexts.get(key)
        if context is not None:
            self._contexts.move_to_end(key)
        return context

    def put(self, key: Hashable, context: Context) -> None:
        """Hold a context; older ones make room. One that exceeds the whole budget is not held."""
        self.drop(key)
        self._contexts[key] = context
        self._bytes += context.nbytes
        while self._bytes > self._budget:
            self.drop(next(iter(self._contexts)))
            self.evictions += 1

    def drop(self, key: Hashable) -> None:
        """Forget a key, if held."""
        context = self._contexts.pop(key, None)
        if context is not None:
            self._bytes -= context.nbytes

    def clear(self) -> None:
        """Forget all (the weights have changed)."""
        self._contexts.clear()
        self._bytes = 0
