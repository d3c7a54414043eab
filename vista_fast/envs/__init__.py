"""Episodes, and Gymnasium environments over tasks and a toolbox.

``gymnasium.make("vista_fast/Mini-v0")`` and ``"vista_fast/ChartQA-v0"`` give a ``TaskEnv``, ``gymnasium.make_vec`` a
``BatchedEnv`` that steps all its episodes at once through one engine. Importing this package registers them, as
importing vista_fast does when Gymnasium is there already; ``gymnasium.make("vista_fast.envs:vista_fast/Mini-v0")`` does
both in one. Gymnasium is needed for these environments only.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vista_fast.envs.episode import Episode, Step
from vista_fast.errors import MissingExtraError
from vista_fast.tasks.mini import OCR_SIDE

if TYPE_CHECKING:
    from vista_fast.envs.batched import BatchedEnv
    from vista_fast.envs.task_env import TaskEnv

__all__ = ["BatchedEnv", "Episode", "Step", "TaskEnv", "register"]

_STAGES: dict[str, dict[str, Any]] = {
    "vista_fast/Mini-v0": {"dataset": "mini", "ocr_side": OCR_SIDE},
    "vista_fast/ChartQA-v0": {"dataset": "chartqa"},
}
"""Each environment's arguments of ``Stage``. The tags of mini's scenes call for a zoom at that side."""


def register() -> None:
    """Registers the environments with Gymnasium; again does nothing."""
    import gymnasium
    from gymnasium.envs.registration import registry

    for name, arguments in _STAGES.items():
        if name not in registry:
            gymnasium.register(
                id=name,
                entry_point="vista_fast.envs.task_env:TaskEnv",
                vector_entry_point="vista_fast.envs.batched:BatchedEnv",
                kwargs=arguments,
            )


def __getattr__(name: str) -> Any:
    # These two load with their first use, because an Episode does without Gymnasium.
    modules = {"TaskEnv": "vista_fast.envs.task_env", "BatchedEnv": "vista_fast.envs.batched"}
    if name not in modules:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(modules[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "gymnasium":
            raise
        raise MissingExtraError(f"{name} needs gymnasium; pip install 'vista-fast[tasks]'") from error


# Gymnasium loads no plugins by itself since 1.0: the package of an environment registers it.
try:
    register()
except ModuleNotFoundError as error:
    if error.name != "gymnasium":
        raise
