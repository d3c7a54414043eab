"""What was used most recently, within a budget of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Generic, TypeVar

from vista_fast.errors import InvalidArgumentError

_T = TypeVar("_T")


class Recent(Generic[_T]):
    """Values by key, least recently used first out. Any thread may use it.

    Raises InvalidArgumentError for a budget below 0.
    """

    def __init__(self, budget_bytes: int) -> None:
        if budget_bytes < 0:
            raise InvalidArgumentError(f"budget_bytes is {budget_bytes}; it must be at least 0")
        self._budget = budget_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._held: OrderedDict[str, tuple[_T, int]] = OrderedDict()

    def hold(self, key: str, value: _T, size: int) -> _T:
        """Holds ``value`` of ``size`` bytes, unless it is larger than all of the budget, and lets go of what no longer
        fits. Returns the value of that key that is held, which is an earlier one if there is one."""
        if size > self._budget:
            return value
        with self._lock:
            if key not in self._held:
                self._held[key] = value, size
                self._bytes += size
            self._held.move_to_end(key)
            held, _ = self._held[key]
            while self._bytes > self._budget:
                _, (_, freed) = self._held.popitem(last=False)
                self._bytes -= freed
        return held

    def find(self, key: str) -> _T | None:
        """The held value of that key, now the latest used."""
        with self._lock:
            if key not in self._held:
                return None
            self._held.move_to_end(key)
            return self._held[key][0]

    def stats(self) -> dict[str, int]:
        """How many values are held, their bytes and the budget."""
        with self._lock:
            return {"entries": len(self._held), "bytes": self._bytes, "budget": self._budget}
