"""Files that others may make at the same time, and that nobody sees by halves."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def part_file(target: Path) -> Iterator[Path]:
    """Yields the path of a file beside ``target`` that becomes ``target`` on success and is removed on failure.

    Its name is its own: threads, and processes of several containers with one number each, may share the folder, which
    is made if it is not there. Of several that finish, the last one's file stays.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{uuid.uuid4().hex}.part")
    try:
        yield part
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
