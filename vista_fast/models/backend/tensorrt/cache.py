"""Engines on disk: built once, however many processes ask, and again when a file is not what it should be."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from vista_fast.errors import StorageError
from vista_fast.models.backend.profile import Profile
from vista_fast.models.backend.tensorrt.precision import RULES

FOLDER = "VISTA_FAST_ENGINES"
"""The environment variable that names the folder."""

_MAGIC = b"vista_fast engine 1\n"


@dataclass(frozen=True, slots=True)
class EngineKey:
    """All that an engine depends on.

    Attributes:
        model: SHA-256 of the network's files, in hexadecimal.
        profiles: the shapes it is built for.
        precision: of its arithmetic.
        library: name of the library.
        version: of the library.
        target: compute capability that it runs on, such as "sm89".
        hardware: the model of GPU, where engines belong to one; else "".
        rules: number of the rules by which the network's arithmetic was lowered (``precision.RULES``).
    """

    model: str
    profiles: tuple[Profile, ...]
    precision: str
    library: str
    version: str
    target: str
    hardware: str = ""
    rules: int = RULES

    @property
    def text(self) -> str:
        """The same for equal keys, and for them only."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def file(self) -> str:
        """The name of its file."""
        digest = hashlib.sha256(self.text.encode()).hexdigest()
        return f"{self.model[:12]}-{self.precision}-{self.library}-{self.target}-{digest[:16]}.engine"


class EngineCache:
    """A folder of engines, safe to share between processes. Any file of it may be deleted at any time."""

    def __init__(self, folder: Path | None = None) -> None:
        """``folder`` by default: what VISTA_FAST_ENGINES names, else ``vista_fast/engines`` in the user's cache."""
        self.folder = folder or _default_folder()

    def get(self, key: EngineKey, build: Callable[[], bytes]) -> bytes:
        """The engine of that key; built, and kept, when there is none or its file is of another key or damaged.

        Raises:
            StorageError: the folder can't be written.
        """
        path = self.path(key)
        found = _read(path, key)
        if found is not None:
            return found
        with self._locked(path):
            # Another process may have built it while this one waited.
            found = _read(path, key)
            if found is None:
                found = build()
                self._write(path, key, found)
        return found

    def path(self, key: EngineKey) -> Path:
        """Where the engine of that key lies, or would lie."""
        return self.folder / key.file

    def drop(self, key: EngineKey, refused: bytes) -> None:
        """Forget an engine that the library refuses, unless another process has replaced it already."""
        path = self.path(key)
        with self._locked(path):
            if _read(path, key) in (None, refused):
                path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self, path: Path) -> Iterator[None]:
        """Holds the lock of one engine, which ends with the process that holds it, however that ends."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
            except OSError as error:  # a file system without locks
                raise _unwritable(self.folder, error) from error
            try:
                yield
            finally:
                # A child that was forked meanwhile holds the file too, and would go on holding the lock.
                fcntl.flock(handle, fcntl.LOCK_UN)
        finally:
            os.close(handle)

    def _write(self, path: Path, key: EngineKey, engine: bytes) -> None:
        """In one step, so that no reader sees half a file."""
        header = json.dumps({"key": key.text, "sha256": hashlib.sha256(engine).hexdigest()}).encode() + b"\n"
        name = None
        try:
            with tempfile.NamedTemporaryFile(dir=self.folder, suffix=".part", delete=False) as file:
                name = file.name
                file.writelines((_MAGIC, header, engine))
            Path(name).replace(path)
        except OSError as error:
            if name is not None:
                Path(name).unlink(missing_ok=True)
            raise _unwritable(self.folder, error) from error


def _read(path: Path, key: EngineKey) -> bytes | None:
    """The engine in a file; None when it is not there, is another one, or not what was written."""
    try:
        with path.open("rb") as file:
            if file.readline() != _MAGIC:
                return None
            header = json.loads(file.readline())
            engine = file.read()
        right = header["key"] == key.text and header["sha256"] == hashlib.sha256(engine).hexdigest()
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return engine if right else None


def _unwritable(folder: Path, error: OSError) -> StorageError:
    return StorageError(f"engines can't be kept in {folder} ({error}); set {FOLDER} to a folder that can be written")


def _default_folder() -> Path:
    chosen = os.environ.get(FOLDER)
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "vista_fast" / "engines"
