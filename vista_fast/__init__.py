"""A rollout engine for reinforcement learning of vision-language models that think with tools."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vista_fast import errors
    from vista_fast._core import Image, gather
    from vista_fast.engine import BatchPolicy, Engine, Expectation, Op
    from vista_fast.protocol import parse_turn
    from vista_fast.rewards import reward
    from vista_fast.tools import Toolbox
    from vista_fast.types import Observation, Reward, Task, ToolCall, ToolError, Trajectory, Turn

__version__ = "0.1.0"

_HOME = {
    "BatchPolicy": "vista_fast.engine",
    "Engine": "vista_fast.engine",
    "Expectation": "vista_fast.engine",
    "Image": "vista_fast._core",
    "Observation": "vista_fast.types",
    "Op": "vista_fast.engine",
    "Reward": "vista_fast.types",
    "Task": "vista_fast.types",
    "ToolCall": "vista_fast.types",
    "ToolError": "vista_fast.types",
    "Toolbox": "vista_fast.tools",
    "Trajectory": "vista_fast.types",
    "Turn": "vista_fast.types",
    "gather": "vista_fast._core",
    "parse_turn": "vista_fast.protocol",
    "reward": "vista_fast.rewards",
}

__all__ = [
    "BatchPolicy",
    "Engine",
    "Expectation",
    "Image",
    "Observation",
    "Op",
    "Reward",
    "Task",
    "ToolCall",
    "ToolError",
    "Toolbox",
    "Trajectory",
    "Turn",
    "errors",
    "gather",
    "parse_turn",
    "reward",
]


def __getattr__(name: str) -> Any:
    # Names load with their first use, so that importing the package stays light.
    if name == "errors":
        return import_module("vista_fast.errors")
    if name not in _HOME:
        raise AttributeError(f"module 'vista_fast' has no attribute {name!r}")
    try:
        value = getattr(import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "vista_fast._core":
            raise
        here = __file__.rpartition("/vista_fast/")[0]
        message = (
            f"{here} holds the sources of vista_fast without its compiled core, and hides an installed vista_fast: run "
            "Python from another folder, or build the core here with pip install -e ."
        )
        raise ModuleNotFoundError(message, name=error.name, path=error.path) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


if "gymnasium" in sys.modules:
    # So that gymnasium.make knows our environments; Gymnasium loads no plugins by itself since 1.0.
    import_module("vista_fast.envs")
