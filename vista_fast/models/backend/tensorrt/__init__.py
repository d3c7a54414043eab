"""Networks on NVIDIA GPUs: one code for ``tensorrt`` and ``tensorrt_rtx``, whose Python API is the same."""

from vista_fast.models.backend.tensorrt.cache import EngineCache, EngineKey
from vista_fast.models.backend.tensorrt.compile import compile_engine
from vista_fast.models.backend.tensorrt.library import LibraryName
from vista_fast.models.backend.tensorrt.model import TensorRtModel

__all__ = ["EngineCache", "EngineKey", "LibraryName", "TensorRtModel", "compile_engine"]
