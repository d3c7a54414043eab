"""Rollouts: the turn loop over a Generator, the Generators, and the record of what a rollout did.

``rollout`` plays Tasks; ``TransformersGenerator`` continues ids with a transformers model and ``ReplayGenerator`` with
recorded turns; ``ChatTemplate`` lays out ids; ``summarize`` measures; ``write_trajectories`` keeps.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vista_fast.errors import MissingExtraError
from vista_fast.rollout.generator import DecodeSpan, Generation, Generator, Patches, Sampling

if TYPE_CHECKING:
    from vista_fast.rollout.activity import EngineActivity, engine_activity
    from vista_fast.rollout.config import RolloutConfig
    from vista_fast.rollout.loop import rollout
    from vista_fast.rollout.replay import ReplayGenerator, StepCost, makespan_without_tools
    from vista_fast.rollout.store import read_trajectories, write_trajectories
    from vista_fast.rollout.summary import RolloutSummary, summarize
    from vista_fast.rollout.template import ChatTemplate
    from vista_fast.rollout.timeline import Exposure, exposure, makespan
    from vista_fast.rollout.transformers_generator import TransformersGenerator
    from vista_fast.rollout.vision import Preprocessor, VisionSettings

__all__ = [
    "ChatTemplate",
    "DecodeSpan",
    "EngineActivity",
    "Exposure",
    "Generation",
    "Generator",
    "Patches",
    "Preprocessor",
    "ReplayGenerator",
    "RolloutConfig",
    "RolloutSummary",
    "Sampling",
    "StepCost",
    "TransformersGenerator",
    "VisionSettings",
    "engine_activity",
    "exposure",
    "makespan",
    "makespan_without_tools",
    "read_trajectories",
    "rollout",
    "summarize",
    "write_trajectories",
]

_MODULES = {
    "activity": ("EngineActivity", "engine_activity"),
    "config": ("RolloutConfig",),
    "loop": ("rollout",),
    "replay": ("ReplayGenerator", "StepCost", "makespan_without_tools"),
    "store": ("read_trajectories", "write_trajectories"),
    "template": ("ChatTemplate",),
    "summary": ("RolloutSummary", "summarize"),
    "timeline": ("Exposure", "exposure", "makespan"),
    "transformers_generator": ("TransformersGenerator",),
    "vision": ("Preprocessor", "VisionSettings"),
}
_HOME = {name: f"vista_fast.rollout.{module}" for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load each part, and torch with it, when it is first used."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("vista_fast"):
            raise
        raise MissingExtraError(f"{name} needs {error.name}; pip install 'vista-fast[train]'") from error
