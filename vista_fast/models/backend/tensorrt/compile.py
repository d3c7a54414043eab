"""An engine for a network file: from the cache, or built into it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vista_fast.models.backend.choice import check_precision
from vista_fast.models.backend.model import Precision
from vista_fast.models.backend.profile import Profile
from vista_fast.models.backend.tensorrt.build import build_engine
from vista_fast.models.backend.tensorrt.cache import EngineCache, EngineKey
from vista_fast.models.backend.tensorrt.library import Library, LibraryName, load_library
from vista_fast.models.backend.tensorrt.network import Network, read_network
from vista_fast.models.backend.tensorrt.target import hardware_of, target_of


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an engine is made of, and where it is kept."""

    library: Library
    network: Network
    key: EngineKey
    cache: EngineCache

    def engine(self) -> bytes:
        """The serialised engine."""
        return self.cache.get(self.key, self._build)

    def _build(self) -> bytes:
        precision: Precision = self.key.precision  # type: ignore[assignment]  # checked by recipe()
        return build_engine(self.library, self.network, self.key.profiles, precision, self.key.target)


def compile_engine(
    path: Path,
    *,
    profiles: Sequence[Profile] = (),
    precision: Precision = "f32",
    library: LibraryName = "tensorrt",
    target: str | None = None,
    cache: EngineCache | None = None,
) -> Path:
    """Build the engine of an ONNX file, unless the cache has it, and return its file in the cache.

    With ``library="tensorrt_rtx"`` and a target no GPU is needed: engines may be built ahead of time.

    Args:
        path: the ONNX file.
        profiles: the shapes that calls have; needed where shapes vary.
        precision: "f32", or "f16" or "bf16" for the products inside.
        library: "tensorrt" or "tensorrt_rtx".
        target: compute capability of the GPU, such as "sm89"; default: this machine's.
        cache: default: the user's.

    Raises:
        InvalidArgumentError: the file is no ONNX network, the library can't run it on that target, or a profile does
            not fit its inputs.
        MissingExtraError: the library is not installed.
        NotFoundError: there is no such file.
        StorageError: the cache can't be written.
    """
    made = recipe(path, profiles, precision, library, target, cache)
    made.engine()
    return made.cache.path(made.key)


def recipe(
    path: Path,
    profiles: Sequence[Profile],
    precision: Precision,
    library: LibraryName,
    target: str | None,
    cache: EngineCache | None,
) -> Recipe:
    """The same as ``compile_engine`` takes, checked, and nothing built."""
    loaded = load_library(library)
    check_precision(library, precision)
    built_for = target_of(loaded, target)
    network = read_network(path)
    key = EngineKey(
        network.sha256, tuple(profiles), precision, loaded.name, loaded.version, built_for, hardware_of(loaded)
    )
    return Recipe(loaded, network, key, cache or EngineCache())
