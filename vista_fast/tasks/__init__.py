"""Tasks: questions over images with a truth that a program can check, one module per dataset."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, cast

from vista_fast.errors import NotFoundError
from vista_fast.types import Dataset

DATASETS: Final = {"mini": "vista_fast.tasks.mini", "chartqa": "vista_fast.tasks.chartqa"}
"""Each dataset's module, which offers ``load(split, **options) -> Dataset``. Add a dataset by adding its line."""


def load(name: str, split: str = "train", **options: Any) -> Dataset:
    """The Dataset of that name and split; ``options`` are those of the dataset's own ``load``.

    Raises:
        NotFoundError: no dataset has that name, or its files are not there.
    """
    if name not in DATASETS:
        raise NotFoundError(f"no dataset is named {name!r}; there are {', '.join(DATASETS)}")
    return cast(Dataset, import_module(DATASETS[name]).load(split, **options))
