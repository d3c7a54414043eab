"""Packages that are run beside ours, or whose files are looked at, and that are not installed for more than that."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def peer_packages(folder: Path, *requirements: str) -> Iterator[Path]:
    """Installs packages without what they depend on into a folder, which is on the path meanwhile; gives the folder."""
    quickly = ["--quiet", "--no-deps", "--no-compile"]
    command = [sys.executable, "-m", "pip", "install", *quickly, "--target", str(folder), *requirements]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sys.path.append(str(folder))
    try:
        yield folder
    finally:
        sys.path.remove(str(folder))
