"""The engine that the processors compute with."""

from __future__ import annotations

import os
import threading

from vista_fast.engine import Engine


class CurrentEngine:
    """The engine that was given, or else one of this process's own, made when it is first needed. An engine does not
    survive a fork, as data loaders make it: the child has one of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._given: Engine | None = None
        self._own: Engine | None = None
        os.register_at_fork(after_in_child=self._forget)

    def give(self, engine: Engine | None) -> None:
        """Computes with this one from now on; None goes back to one of its own."""
        self._given = engine

    def get(self) -> Engine:
        """The engine to compute with now. Any thread may ask."""
        if self._given is not None:
            return self._given
        with self._lock:
            if self._own is None:
                self._own = Engine()
            return self._own

    def _forget(self) -> None:
        # The lock too: another thread of the parent may have held it.
        self._lock = threading.Lock()
        self._given = self._own = None


current_engine = CurrentEngine()
"""The one of this process."""
