"""The folder that a run leaves behind, and files in it that are either whole or not there.

config.json          what the run was set to
metrics.jsonl        one JSON object per line, written when it happens
trajectories/        Parquet files and images by hash (``vista_fast.rollout.store``)
checkpoints/         what ``--resume`` goes on from (``vista_fast.train``)
report.html          the run, to read (``vista_fast.report``)
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vista_fast.errors import InvalidArgumentError, NotFoundError, StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Libraries that write files themselves raise errors of their own: safetensors with the system's words, torch.save with
# the last three.
_FULL_WORDS = (
    "No space left on device",
    "Disk quota exceeded",
    "File too large",
    "iostream error",
    "PytorchStreamWriter failed writing",
    "inline_container.cc",
)


class RunFolder:
    """One run on disk. ``create`` makes it, ``open`` takes an existing one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.json"
        self.metrics_file = path / "metrics.jsonl"
        self.trajectories = path / "trajectories"
        self.checkpoints = path / "checkpoints"
        self.report_file = path / "report.html"

    @classmethod
    def create(cls, path: Path, config: Mapping[str, Any], *, resume: bool = False) -> RunFolder:
        """Makes the folder and writes ``config`` (JSON values).

        A folder that holds a run is refused (InvalidArgumentError) unless ``resume`` is set; then its config stays as
        it is and must equal ``config``. So is a path that no folder can be made at.
        """
        folder = cls(path)
        if folder.config_file.exists():
            _check_resumable(folder, config, resume)
            _drop_half_line(folder.metrics_file)
            return folder
        make_folder(path, "a run")
        with folder_errors(path, "a run"), whole_file(folder.config_file) as partial:
            partial.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """The run at ``path``; NotFoundError when there is none."""
        folder = cls(path)
        if not folder.config_file.is_file():
            raise NotFoundError(f"{path} holds no run (there is no {folder.config_file.name} in it); name a run folder")
        return folder

    @property
    def config(self) -> dict[str, Any]:
        """What the run was set to."""
        config: dict[str, Any] = json.loads(self.config_file.read_text(encoding="utf-8"))
        return config

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds one line to metrics.jsonl; it is with the operating system when this returns.

        Numbers that JSON has no word for (NaN, infinities) become null. A line that does not fit on the disk is taken
        back, and StorageError raised.
        """
        line = (json.dumps(_finite(record), ensure_ascii=False, allow_nan=False) + "\n").encode()
        with storage_errors(self.metrics_file):
            file = os.open(self.metrics_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
            try:
                _append_whole(file, line)
            finally:
                os.close(file)

    def metrics(self, event: str | None = None) -> list[dict[str, Any]]:
        """The records of metrics.jsonl, of one ``event`` kind or of all, in order.

        A run that was resumed repeats the steps after its checkpoint: a record whose step is not above the last of its
        kind (event and stage) takes the place of that kind's earlier records from its step on.
        A last line that was cut by a crash is left out.
        """
        if not self.metrics_file.exists():
            return []
        records: list[dict[str, Any]] = []
        highest: dict[tuple[Any, Any, bool], int] = {}
        for line in self.metrics_file.read_bytes().splitlines(keepends=True):
            if not line.endswith(b"\n"):
                break
            record = json.loads(line)
            if event is not None and record.get("event") != event:
                continue
            if "step" in record:
                kind, step = _kind(record), record["step"]
                if step <= highest.get(kind, step - 1):
                    records = [old for old in records if _kind(old) != kind or old["step"] < step]
                highest[kind] = step
            records.append(record)
        return records


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a path to write to, which becomes ``path`` on success and is removed on failure.

    ``path`` is replaced in one step, after the bytes have reached the disk: whoever looks finds the old file or the
    new one. A full disk raises StorageError.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        with storage_errors(path):
            yield partial
            _sync(partial)
            partial.replace(path)
            _sync(path.parent)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """``whole_file`` for a folder of files: yields an empty folder that becomes ``path``, which must not exist yet."""
    partial = path.with_name(f".{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with storage_errors(path):
            partial.mkdir(parents=True)
            yield partial
            for file in partial.rglob("*"):
                _sync(file)
            _sync(partial)
            partial.rename(path)
            _sync(path.parent)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turns "the disk is full", from Python or from a library that writes by itself, into StorageError."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        if not _says_full(error):
            raise
        raise StorageError(
            f"{path} could not be written ({error}); free some space or raise the limit on file sizes, then go on "
            "from the last checkpoint with --resume"
        ) from error


def make_folder(path: Path, content: str) -> None:
    """Makes the folder at ``path``, or takes the one there if it can be written to; errors as ``folder_errors``."""
    with folder_errors(path, content), storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()


@contextmanager
def folder_errors(path: Path, content: str) -> Iterator[None]:
    """Turns an OSError into InvalidArgumentError that ``path`` can't hold ``content``; StorageError stays itself."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise InvalidArgumentError(f"{path} can't hold {content} ({error.strerror}); name another folder") from error


def _kind(record: Mapping[str, Any]) -> tuple[Any, Any, bool]:
    """Records of one kind count their steps together."""
    return record.get("event"), record.get("stage"), "step" in record


def _says_full(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    return any(word in str(error) for word in _FULL_WORDS)


def _check_resumable(folder: RunFolder, config: Mapping[str, Any], resume: bool) -> None:
    if not resume:
        raise InvalidArgumentError(f"{folder.path} already holds a run; go on with --resume, or name another folder")
    old, new = folder.config, json.loads(json.dumps(config))
    changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    if changed:
        raise InvalidArgumentError(
            f"{folder.path} holds a run with another {', '.join(changed)}; resume with the same settings, or name "
            "another folder"
        )


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def _append_whole(file: int, line: bytes) -> None:
    end = os.fstat(file).st_size
    try:
        written = os.write(file, line)
        while written < len(line):
            written += os.write(file, line[written:])
    except OSError:
        os.ftruncate(file, end)
        raise


def _drop_half_line(file: Path) -> None:
    """Removes what follows the last newline: a line that a crash cut, which a new line would otherwise continue."""
    if not file.exists():
        return
    whole = file.read_bytes().rpartition(b"\n")
    os.truncate(file, len(whole[0]) + len(whole[1]))


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
