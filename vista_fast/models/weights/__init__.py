"""Weights by name: where their files come from, checked against a pinned SHA-256, under which licence."""

from vista_fast.models.weights.catalogue import WEIGHTS
from vista_fast.models.weights.sources import HubFile, NpmFile, PackageFile, Source
from vista_fast.models.weights.store import (
    exports_folder,
    fetch_weight,
    file_digest,
    find_weight,
    weight_here,
    weights_folder,
)
from vista_fast.models.weights.weight import Weight

__all__ = [
    "WEIGHTS",
    "HubFile",
    "NpmFile",
    "PackageFile",
    "Source",
    "Weight",
    "exports_folder",
    "fetch_weight",
    "file_digest",
    "find_weight",
    "weight_here",
    "weights_folder",
]
