"""Where on this machine a Grounding DINO is. Nothing is downloaded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from vista_fast.errors import NotFoundError
from vista_fast.models.weights import weights_folder

HUB_NAMES = ("IDEA-Research/grounding-dino-tiny", "IDEA-Research/grounding-dino-base")

_WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")


def find_grounding_dino(model: str | Path | None = None) -> Path | None:
    """The folder of a Grounding DINO with its tokenizer.

    Args:
        model: a folder, or a name on the hub; None looks for grounding-dino-tiny, then -base.

    Each name is looked for in the folder of weights (``grounding-dino-tiny`` in it), then in the hub's cache.

    Returns:
        None when no ``model`` is given and none is here.

    Raises:
        NotFoundError: the one that is given is not on this machine.
    """
    names = HUB_NAMES if model is None else (str(model),)
    for name in names:
        for folder in (Path(name), weights_folder() / Path(name).name, _in_hub_cache(name)):
            if folder is not None and is_complete(folder):
                return folder
    if model is None:
        return None
    raise NotFoundError(
        f"no Grounding DINO is at {model}: give a folder with config.json, a tokenizer and model.safetensors, or get "
        f"one by `hf download {HUB_NAMES[0]}`, or put it into {weights_folder() / 'grounding-dino-tiny'}"
    )


def is_complete(folder: Path) -> bool:
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
