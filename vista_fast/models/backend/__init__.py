"""One interface over the libraries that run networks: open a model file, get a Model on numpy arrays."""

from vista_fast.models.backend.model import Array, Model, Precision, TensorSpec, check_signature, run_single
from vista_fast.models.backend.registry import (
    Backend,
    Device,
    available_backends,
    find_backend,
    native_precision,
    open_model,
    usable_cores,
)

__all__ = [
    "Array",
    "Backend",
    "Device",
    "Model",
    "Precision",
    "TensorSpec",
    "available_backends",
    "check_signature",
    "find_backend",
    "native_precision",
    "open_model",
    "run_single",
    "usable_cores",
]
