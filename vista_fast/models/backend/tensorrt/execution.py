"""Execution: a context of an engine, told the shapes of a call and the memory that it works in.

No part of this file has run on a GPU in this project's tests, which have none; see ``lane``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from vista_fast.errors import OpError
from vista_fast.models.backend.profile import Shape
from vista_fast.models.backend.tensorrt.buffers import Memory
from vista_fast.models.backend.tensorrt.engine import Engine
from vista_fast.models.backend.tensorrt.library import sizes

if TYPE_CHECKING:
    import torch


class Execution:
    """One execution context, bound on one stream."""

    def __init__(self, engine: Engine, memory: Memory, stream: int) -> None:
        self._engine = engine
        self._memory = memory
        self._stream = stream
        self._context = engine.context()
        self._profile: int | None = None

    def bind(self, shapes: Mapping[str, Shape]) -> dict[str, torch.Tensor]:
        """Tells the context the input shapes and all addresses; gives the outputs, which a run then fills.

        Raises:
            MemoryError, torch.OutOfMemoryError: the device has no room for it.
            OpError: the library refuses them.
        """
        context = self._context
        profile = self._engine.profile_of(shapes)
        self._switch_to(profile)
        for name, shape in shapes.items():
            self._demand(context.set_input_shape(name, shape), f"{list(shape)} as input {name}")
        outputs = {spec.name: self._output(profile, spec.name, spec.dtype) for spec in self._engine.outputs}
        scratch = self._memory.scratch.reserve(context.update_device_memory_size_for_shapes())
        context.set_device_memory(scratch.data_ptr(), scratch.numel())
        for name in (*shapes, *outputs):
            address = self._memory.tensor(profile, name).reserve(0).data_ptr()
            self._demand(context.set_tensor_address(name, address), f"the address of {name}")
        return outputs

    def run(self, stream: int) -> None:
        """Puts the kernels on a stream. The library lets go of the interpreter's lock meanwhile."""
        self._demand(self._context.execute_async_v3(stream), "the execution")

    def _switch_to(self, profile: int) -> None:
        if profile == self._profile:
            return
        try:
            switched = self._context.set_optimization_profile_async(profile, self._stream)
        except RuntimeError as error:
            raise self._engine.library.failure("the profile") from error
        self._demand(switched, "the profile")
        self._profile = profile

    def _output(self, profile: int, name: str, dtype: np.dtype[Any]) -> torch.Tensor:
        try:
            shape = sizes(self._context.get_tensor_shape(name))
        except ValueError as error:  # a shape that can't be told has no length
            raise self._engine.library.failure(f"these inputs together: {name} has no shape then") from error
        if min(shape, default=0) < 0:
            raise OpError(
                f"the shape of output {name} depends on what is in the inputs; use onnxruntime for this network"
            )
        return self._memory.tensor(profile, name).view(shape, torch_dtype(dtype))

    def _demand(self, accepted: bool, what: str) -> None:
        if not accepted:
            raise self._engine.library.failure(what)


def torch_dtype(dtype: np.dtype[Any]) -> torch.dtype:
    """torch's name for a dtype of numpy."""
    import torch

    return torch.from_numpy(np.empty(0, dtype)).dtype
