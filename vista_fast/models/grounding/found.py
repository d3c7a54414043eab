"""Where on this machine a Grounding DINO is. Nothing is downloaded; ``vista-fast weights get`` does that."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from vista_fast.errors import NotFoundError
from vista_fast.models.weights import weight_here, weights_folder

PINNED = {f"IDEA-Research/{name}": name for name in ("grounding-dino-tiny", "grounding-dino-base")}
"""Those whose files are known by their SHA-256: by name on the hub, their names among the weights."""
GET = f"vista-fast weights get {next(iter(PINNED.values()))}"
"""The command that brings the smaller one."""

_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


def find_grounding_dino(model: str | Path | None = None) -> Path | None:
    """The folder of a Grounding DINO with its tokenizer.

    Args:
        model: a folder, or a name on the hub; None looks for grounding-dino-tiny, then -base.

    A name that is no folder is looked for in the folder of weights (``grounding-dino-tiny`` in it), then in the hub's
    cache. The files of the two named here must be the hub's own; others are taken as they are.

    Returns:
        None when no ``model`` is given and none is here.

    Raises:
        NotFoundError: the one that is given is not on this machine, or a file of the two named here is another one.
    """
    for name in PINNED if model is None else (str(model),):
        folder = _folder(name)
        if folder is not None:
            return folder
    if model is None:
        return None
    command = f"vista-fast weights get {PINNED[str(model)]}" if str(model) in PINNED else GET
    raise NotFoundError(
        f"no Grounding DINO is at {model}: give a folder with config.json, a tokenizer and model.safetensors, or get "
        f"one by `{command}`"
    )


def _folder(name: str) -> Path | None:
    if _is_complete(Path(name)):
        return Path(name)
    weight = PINNED.get(name, name)
    if weight in PINNED.values():
        path = weight_here(weight)
        return None if path is None else path.parent
    own = Path(name).name
    here = (None if own in PINNED.values() else weights_folder() / own, _in_hub_cache(name))
    return next((folder for folder in here if folder is not None and _is_complete(folder)), None)


def _is_complete(folder: Path) -> bool:
    """Whether the folder has a configuration and weights."""
    return (folder / "config.json").is_file() and any((folder / name).is_file() for name in _WEIGHT_FILES)


def weight_file(folder: Path) -> Path:
    """The file of weights in a complete folder."""
    return next(folder / name for name in _WEIGHT_FILES if (folder / name).is_file())


def _in_hub_cache(name: str) -> Path | None:
    if name.count("/") != 1 or name.startswith((".", "/")) or find_spec("huggingface_hub") is None:
        return None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(name, "config.json")
    return Path(found).parent if isinstance(found, str) else None
