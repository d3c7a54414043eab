"""Checkpoints: everything that a stage needs to go on, in a folder that is whole or not there."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vista_fast.run_folder import whole_folder
from vista_fast.train.policy import load_policy, save_policy


@dataclass(slots=True)
class TrainState:
    """What changes while a stage trains. ``step`` counts the steps done; ``rng`` orders the data."""

    step: int
    model: Any
    tokenizer: Any
    optimiser: Any
    rng: random.Random


def save_checkpoint(folder: Path, stage: str, state: TrainState, *, keep: int = 2) -> Path:
    """Write ``folder/stage-STEP`` and remove all but the ``keep`` latest of the stage.

    The folder appears under its name only once all its bytes are on disk, so that whatever ends the process leaves the
    last whole checkpoint behind. A full disk raises StorageError.
    """
    path = folder / f"{stage}-{state.step:06d}"
    if path.exists():
        shutil.rmtree(path)
    with whole_folder(path) as partial:
        save_policy(state.model, state.tokenizer, partial)
        torch.save(
            {"optimiser": state.optimiser.state_dict(), "torch_rng": torch.get_rng_state()}, partial / "state.pt"
        )
        version, internal, gauss = state.rng.getstate()
        (partial / "progress.json").write_text(
            json.dumps({"step": state.step, "rng": [version, list(internal), gauss]}), encoding="utf-8"
        )
    for old in _checkpoints(folder, stage)[:-keep]:
        shutil.rmtree(old)
    return path


def latest_checkpoint(folder: Path, stage: str) -> Path | None:
    """The stage's checkpoint of the most steps, or None."""
    found = _checkpoints(folder, stage)
    return found[-1] if found else None


def load_checkpoint(path: Path, state: TrainState) -> None:
    """Take over step, weights, optimiser and random states from a checkpoint into ``state``."""
    model, _ = load_policy(path)
    state.model.load_state_dict(model.state_dict())
    saved = torch.load(path / "state.pt", weights_only=True)
    state.optimiser.load_state_dict(saved["optimiser"])
    torch.set_rng_state(saved["torch_rng"])
    progress = json.loads((path / "progress.json").read_text(encoding="utf-8"))
    version, internal, gauss = progress["rng"]
    state.rng.setstate((version, tuple(internal), gauss))
    state.step = progress["step"]


def _checkpoints(folder: Path, stage: str) -> list[Path]:
    return sorted(path for path in folder.glob(f"{stage}-[0-9]*") if (path / "progress.json").is_file())
