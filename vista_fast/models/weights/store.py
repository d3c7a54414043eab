"""Finding a file of weights on this machine, fetching one that is not here, and checking that it is the right one."""

from __future__ import annotations

import hashlib
import os
import tarfile
import threading
import zipfile
import zlib
from pathlib import Path

from vista_fast.errors import InvalidArgumentError, MissingExtraError, NotFoundError
from vista_fast.models.weights.catalogue import WEIGHTS
from vista_fast.models.weights.sources import PackageFile
from vista_fast.models.weights.weight import Weight

FOLDER = "VISTA_FAST_WEIGHTS"
"""The environment variable that names the local folder."""

_BROKEN = (EOFError, KeyError, OSError, ValueError, tarfile.TarError, zipfile.BadZipFile, zlib.error)
"""What a source raises for an archive that is cut off, is none, or lacks the file."""

_checked: dict[tuple[Path, int, int], str] = {}
_lock = threading.Lock()


def weights_folder() -> Path:
    """Where fetched weights are kept, and where a user may put files himself: what VISTA_FAST_WEIGHTS names, else
    ``vista_fast/weights`` in the user's cache folder."""
    chosen = os.environ.get(FOLDER)
    if chosen:
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "vista_fast" / "weights"


def exports_folder() -> Path:
    """Where networks are kept that were made of weights: ``exports`` in the folder of weights."""
    return weights_folder() / "exports"


def find_weight(name: str) -> Path:
    """The file of these weights on this machine: the local folder's, else the first of their sources that has it.

    Raises:
        InvalidArgumentError: no weights have that name.
        MissingExtraError: a package has them that an extra of vista-fast installs.
        NotFoundError: they are not here, or a file of their name is another one; the message says how to get them.
    """
    path = weight_here(name)
    if path is None:
        raise _missing(_named(name))
    return path


def weight_here(name: str) -> Path | None:
    """The same, None where they are not here. What lies beside a file in the local folder must be whole and right too.

    Raises InvalidArgumentError and NotFoundError as ``find_weight``.
    """
    weight = _named(name)
    local = weights_folder() / weight.file
    if local.is_file():
        return _right(weight, local)
    for path in (source.present() for source in weight.sources):
        if path is not None and all(each.is_file() for each in _files(weight, path)):
            return _right(weight, path)
    return None


def fetch_weight(name: str) -> Path:
    """The same, fetched into the local folder from the first source that gives it when it is not here, or not right.

    Raises:
        InvalidArgumentError: no weights have that name.
        NotFoundError: no source gives the right file, or another model is in the folder of its name.
    """
    weight = _named(name)
    target = weights_folder() / weight.file
    try:
        return find_weight(name)
    except (MissingExtraError, NotFoundError):
        if weight.beside and target.is_file() and file_digest(target) != weight.sha256:
            raise  # the folder may have a model of the user's own
    failures = []
    for source in weight.sources:
        try:
            source.fetch(target)
            return _right(weight, target)
        except (NotFoundError, *_BROKEN) as error:
            failures.append(str(error))
    raise NotFoundError(f"{name} could not be fetched: {'; '.join(failures)}. {_by_hand(weight)}")


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes in hexadecimal; read once for as long as its size and time stay the same."""
    state = path.stat()
    key = (path, state.st_size, state.st_mtime_ns)
    with _lock:
        if key in _checked:
            return _checked[key]
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    with _lock:
        return _checked.setdefault(key, digest.hexdigest())


def _named(name: str) -> Weight:
    if name not in WEIGHTS:
        raise InvalidArgumentError(f"there are no weights named {name!r}; choose one of {', '.join(sorted(WEIGHTS))}")
    return WEIGHTS[name]


def _files(weight: Weight, path: Path) -> dict[Path, str]:
    """All files of the weights whose first one is at ``path``, with their SHA-256."""
    return {path: weight.sha256} | {path.with_name(name): digest for name, digest in weight.beside.items()}


def _right(weight: Weight, path: Path) -> Path:
    for each, wanted in _files(weight, path).items():
        if not each.is_file():
            raise NotFoundError(f"{each}, which belongs to {weight.name}, is not there; {_by_hand(weight)}")
        digest = file_digest(each)
        if digest != wanted:
            raise NotFoundError(
                f"{each} has SHA-256 {digest[:16]}…, and that of {weight.name} has {wanted[:16]}…; remove it, and get "
                f"the right one: {_by_hand(weight)}"
            )
    return path


def _missing(weight: Weight) -> Exception:
    message = f"the weights {weight.name} are not on this machine; {_by_hand(weight)}"
    first = weight.sources[0] if weight.sources else None
    if isinstance(first, PackageFile) and first.extra is not None:
        return MissingExtraError(message)
    return NotFoundError(message)


def _by_hand(weight: Weight) -> str:
    ways = [f"vista-fast weights get {weight.name}", *(source.how() for source in weight.sources)]
    target = weights_folder() / weight.file
    files = ", ".join((target.name, *weight.beside))
    return f"get them by `{'`, or by `'.join(ways)}`, or put {files} into {target.parent}"
