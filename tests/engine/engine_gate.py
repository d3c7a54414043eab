"""A batch function that a test opens when it wants to."""

from __future__ import annotations

import threading
from typing import Any

WAIT = 30.0
"""Seconds after which a test that waits for an event has failed; none is ever waited out."""


class Gate:
    """A batch function that blocks until it is opened, and records the calls that it got."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.opened = threading.Event()
        self.batches: list[list[dict[str, Any]]] = []

    def __call__(self, calls: list[dict[str, Any]]) -> list[Any]:
        self.batches.append(list(calls))
        self.started.set()
        assert self.opened.wait(WAIT)
        return [call.get("x") for call in calls]
