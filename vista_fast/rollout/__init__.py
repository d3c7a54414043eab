"""Rollouts: the turn loop over a Generator, and the record of what it did."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from vista_fast.rollout.generator import DecodeSpan, Generation, Generator, Patches, Sampling

if TYPE_CHECKING:
    from vista_fast.rollout.transformers_generator import TransformersGenerator

__all__ = [
    "DecodeSpan",
    "Generation",
    "Generator",
    "Patches",
    "Sampling",
    "TransformersGenerator",
]

_LAZY = {"TransformersGenerator": "vista_fast.rollout.transformers_generator"}


def __getattr__(name: str) -> Any:
    """Load torch with the first use of what needs it."""
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
