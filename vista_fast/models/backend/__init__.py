"""One interface over the libraries that run networks: open a model file, get a Model on numpy arrays."""

from vista_fast.models.backend.choice import BackendName, Device, check_choice, check_precision, device_of
from vista_fast.models.backend.classifier import Classifier
from vista_fast.models.backend.model import (
    Array,
    Dimensions,
    Model,
    Precision,
    Tensors,
    TensorSpec,
    check_signature,
    run_single,
)
from vista_fast.models.backend.own_layers import uses_own_kernels
from vista_fast.models.backend.profile import Profile, ShapeRange
from vista_fast.models.backend.registry import (
    Backend,
    available_backends,
    check_backend,
    chosen_backend,
    find_backend,
    native_precision,
    open_model,
    usable_cores,
)
from vista_fast.models.backend.tensorrt import EngineCache, TensorRtModel, compile_engine
from vista_fast.models.backend.torch import Signature, TorchModel, save_torch

__all__ = [
    "Array",
    "Backend",
    "BackendName",
    "Classifier",
    "Device",
    "Dimensions",
    "EngineCache",
    "Model",
    "Precision",
    "Profile",
    "ShapeRange",
    "Signature",
    "TensorRtModel",
    "TensorSpec",
    "Tensors",
    "TorchModel",
    "available_backends",
    "check_backend",
    "check_choice",
    "check_precision",
    "check_signature",
    "chosen_backend",
    "compile_engine",
    "device_of",
    "find_backend",
    "native_precision",
    "open_model",
    "run_single",
    "save_torch",
    "usable_cores",
    "uses_own_kernels",
]
