"""Networks in files that are made on this machine: one that is damaged is made anew."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from vista_fast.errors import NotFoundError
from vista_fast.models.backend import Model
from vista_fast.models.backend.model import NotLoadedError

_made_anew: set[Path] = set()
_lock = threading.Lock()


def open_made(make: Callable[[], Path], load: Callable[[Path], Model]) -> Model:
    """``load(make())``; a file that is no network is removed and made again, once per file and process.

    Args:
        make: gives the path of the file, which it makes where it is not there.
        load: opens it.

    Raises:
        NotLoadedError: it is still none, or it was made again before.
    """
    path = make()
    state = _state(path)
    try:
        return load(path)
    except NotFoundError:
        pass  # another process removed it, which makes it again
    except NotLoadedError:
        if not _first_time(path) or not _removed(path, state):
            raise
    return load(make())


def _state(path: Path) -> tuple[int, int] | None:
    """What tells one file of that name from another; None where there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _removed(path: Path, state: tuple[int, int] | None) -> bool:
    """Whether the file of that state is gone now; another one, which somebody made since, stays."""
    try:
        if _state(path) == state:
            path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def _first_time(path: Path) -> bool:
    with _lock:
        if path in _made_anew:
            return False
        _made_anew.add(path)
        return True
