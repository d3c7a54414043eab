"""Tasks: questions over images with a truth that a program can check, one module per dataset."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import Any, Final, cast

from vista_fast.errors import InvalidArgumentError, NotFoundError
from vista_fast.types import Dataset

DATASETS: Final = {"mini": "vista_fast.tasks.mini", "chartqa": "vista_fast.tasks.chartqa"}
"""Each dataset's module, which offers ``load(split, **options) -> Dataset``. Add a dataset by adding its line."""


def load(name: str, split: str = "train", **options: Any) -> Dataset:
    """The Dataset of that name and split; ``options`` are those of the dataset's own ``load``.

    Raises:
        NotFoundError: no dataset has that name, or its files are not there.
        InvalidArgumentError: an option is not the dataset's, has a wrong value, or is missing.
    """
    if name not in DATASETS:
        raise NotFoundError(f"no dataset is named {name!r}; there are {', '.join(DATASETS)}")
    load_own = import_module(DATASETS[name]).load
    try:
        signature(load_own).bind(split, **options)
    except TypeError as error:
        takes = ", ".join(option for option in signature(load_own).parameters if option != "split")
        raise InvalidArgumentError(f"dataset {name!r}: {error}; its options are {takes}") from error
    return cast(Dataset, load_own(split, **options))
