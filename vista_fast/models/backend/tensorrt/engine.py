"""Engine: a deserialised engine, its tensors, and the profile that a call's shapes fall into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vista_fast.errors import InvalidArgumentError, ResourceExhaustedError
from vista_fast.models.backend.model import TensorSpec
from vista_fast.models.backend.profile import Profile, Shape
from vista_fast.models.backend.tensorrt.compile import Recipe
from vista_fast.models.backend.tensorrt.library import Library, sizes
from vista_fast.out_of_memory import says_no_memory

if TYPE_CHECKING:
    import tensorrt as trt

_DTYPES = {
    "FLOAT": np.float32,
    "HALF": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
    "BOOL": np.bool_,
}


class Engine:
    """A network that is ready to run on one GPU: the one that was current when it was loaded, ``device``."""

    def __init__(self, recipe: Recipe) -> None:
        """Load it from the cache; a file that the library refuses is built once more.

        Raises:
            InvalidArgumentError: the network can't be built, or the library refuses the new engine too.
            ResourceExhaustedError: the GPU has no room for it.
        """
        import torch

        self.device = torch.cuda.current_device()
        self.library: Library = recipe.library
        self.profiles: tuple[Profile, ...] = recipe.key.profiles
        self._runtime: trt.Runtime = self.library.api.Runtime(self.library.logger)
        self._engine = self._load(recipe)
        names = [self._engine.get_tensor_name(at) for at in range(self._engine.num_io_tensors)]
        given = [name for name in names if self._engine.get_tensor_mode(name) == self.library.api.TensorIOMode.INPUT]
        self.inputs = tuple(self._spec(name) for name in given)
        self.outputs = tuple(self._spec(name) for name in names if name not in given)

    def _load(self, recipe: Recipe) -> trt.ICudaEngine:
        self.library.log.take()
        reason = ""
        for _ in range(2):
            plan = recipe.engine()
            engine = self._runtime.deserialize_cuda_engine(plan)
            if engine is not None:
                return engine
            reason = self.library.log.take()
            if says_no_memory(reason):
                # The file is as good as before, for this process later and for others now.
                raise ResourceExhaustedError(
                    f"the GPU has no room for the engine of {recipe.network.path} ({reason}); free some of its memory"
                )
            recipe.cache.drop(recipe.key, plan)
        raise InvalidArgumentError(
            f"{self.library.name} {self.library.version} refuses the engine that it built of {recipe.network.path}: "
            f"{reason}; install the driver that this version needs, or choose another backend"
        )

    def _spec(self, name: str) -> TensorSpec:
        shape = tuple(None if size < 0 else size for size in sizes(self._engine.get_tensor_shape(name)))
        dtype = self._engine.get_tensor_dtype(name).name
        if dtype not in _DTYPES:
            raise InvalidArgumentError(
                f"{name} of the network is {dtype}, which numpy does not have; use f32 or f16 for inputs and outputs"
            )
        return TensorSpec(name, shape, np.dtype(_DTYPES[dtype]))

    def context(self) -> trt.IExecutionContext:
        """A new context on the engine's device, whose device memory its lane gives it.

        tensorrt_rtx captures CUDA graphs itself, tensorrt leaves that to the lane.
        """
        import torch

        api = self.library.api
        configured = self._engine.create_runtime_config()
        configured.set_execution_context_allocation_strategy(api.ExecutionContextAllocationStrategy.USER_MANAGED)
        if self.captures_graphs:
            with_graphs: Any = configured  # tensorrt has no such setting
            with_graphs.cuda_graph_strategy = api.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        with torch.cuda.device(self.device):
            context = self._engine.create_execution_context(configured)
        if context is None:
            raise self.library.failure("an execution context")
        return context

    @property
    def captures_graphs(self) -> bool:
        """Whether the library captures CUDA graphs by itself."""
        return hasattr(self.library.api, "CudaGraphStrategy")

    def profile_of(self, shapes: Mapping[str, Shape]) -> int:
        """The number of the first profile that holds a call of these input shapes.

        Raises:
            InvalidArgumentError: none does.
        """
        return index_of(self.profiles, shapes)


def index_of(profiles: Sequence[Profile], shapes: Mapping[str, Shape]) -> int:
    """The same among ``profiles``; without any, all shapes are fixed and there is one."""
    for index, profile in enumerate(profiles):
        if profile.holds(shapes):
            return index
    if not profiles:
        return 0
    given = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
    built = " | ".join(str(profile) for profile in profiles)
    raise InvalidArgumentError(f"the engine is not built for {given}, only for {built}; add a profile that holds it")
