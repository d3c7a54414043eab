"""Networks in files that are made on this machine: one that is damaged is made anew."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import Model

_made_anew: set[Path] = set()
_lock = threading.Lock()


def open_made(make: Callable[[], Path], load: Callable[[Path], Model]) -> Model:
    """``load(make())``; where that file can't be loaded, it is removed and made again, once per file and process.

    Args:
        make: gives the path of the file, which it makes where it is not there.
        load: opens it.

    Raises:
        InvalidArgumentError: what was made just now can't be loaded either.
    """
    path = make()
    try:
        return load(path)
    except InvalidArgumentError:
        if not _first_time(path):
            raise
    path.unlink(missing_ok=True)
    return load(make())


def _first_time(path: Path) -> bool:
    with _lock:
        if path in _made_anew:
            return False
        _made_anew.add(path)
        return True
