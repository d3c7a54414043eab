"""Lane: what one thread runs an engine with.

No part of this file has run on a GPU in this project's tests, which have none: it is checked against the signatures of
the libraries only. ``scripts/gpu_check.sh`` on a machine with a GPU is the place to verify it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from vista_fast.errors import OpError
from vista_fast.models.backend.model import Array
from vista_fast.models.backend.profile import Shape
from vista_fast.models.backend.tensorrt.buffers import Buffer, Memory
from vista_fast.models.backend.tensorrt.driver import Graph, own_stream
from vista_fast.models.backend.tensorrt.engine import Engine
from vista_fast.models.backend.tensorrt.execution import Execution, torch_dtype

if TYPE_CHECKING:
    import torch

_CallShape: TypeAlias = tuple[tuple[str, Shape], ...]

_MOST_GRAPHS = 16
"""Shapes that a lane captures: each has a context of its own, which holds some device memory."""

_MOST_SEEN = 4096
"""Shapes that a lane remembers to have met."""


@dataclass(frozen=True, slots=True)
class _Captured:
    """A graph of one call's shapes, with the execution that it was captured from.

    A graph may depend on the state of its context, so that context is never told anything else.
    """

    graph: Graph
    execution: Execution
    outputs: dict[str, torch.Tensor]


class Lane:
    """A CUDA stream of its own, executions, buffers and CUDA graphs. For one thread at a time.

    Device memory comes from torch's allocator, the contexts' own included, so that running out of it is one kind of
    error and what other users of torch have freed can be used. Shapes that come a second time are captured, the first
    few of them, and replayed from then on, unless the library captures by itself.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stream = own_stream(engine.device)
        self._capturing = own_stream(engine.device).cuda_stream
        self._host: dict[str, Buffer] = {}
        self._memory = Memory()
        self._plain: Execution | None = None
        self._seen: set[_CallShape] = set()
        self._captured: dict[_CallShape, _Captured] = {}
        self._unfit: set[_CallShape] = set()
        self._addresses = 0

    def run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs for contiguous arrays of the inputs' dtypes; each owns its memory."""
        import torch

        shapes = {name: array.shape for name, array in batch.items()}
        profile = self._engine.profile_of(shapes)
        with torch.cuda.stream(self._stream):
            for name, array in batch.items():
                staged = self._staging(name, array.shape, torch_dtype(array.dtype))
                np.copyto(staged.numpy(), array)
                self._memory.tensor(profile, name).view(array.shape, staged.dtype).copy_(staged, non_blocking=True)
            outputs = self._enqueue(shapes)
            staged_outputs = {name: self._staging(name, tensor.shape, tensor.dtype) for name, tensor in outputs.items()}
            for name, tensor in outputs.items():
                staged_outputs[name].copy_(tensor, non_blocking=True)
        self._stream.synchronize()
        return {name: staged.numpy().copy() for name, staged in staged_outputs.items()}

    def run_on_device(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The same for tensors on the device, without a copy to the host; ordered after and before the work of the
        caller's current stream there."""
        import torch

        shapes = {name: tuple(tensor.shape) for name, tensor in batch.items()}
        profile = self._engine.profile_of(shapes)
        caller = torch.cuda.current_stream(self._engine.device)
        self._stream.wait_stream(caller)
        with torch.cuda.stream(self._stream):
            for name, tensor in batch.items():
                self._memory.tensor(profile, name).view(tensor.shape, tensor.dtype).copy_(tensor, non_blocking=True)
                tensor.record_stream(self._stream)
            outputs = {name: tensor.clone() for name, tensor in self._enqueue(shapes).items()}
        caller.wait_stream(self._stream)
        for tensor in outputs.values():
            tensor.record_stream(caller)
        return outputs

    def release(self) -> None:
        """Gives back all memory but that of the results."""
        import torch

        self._stream.synchronize()
        self._captured.clear()
        self._plain = None
        self._host.clear()
        self._memory = Memory()
        self._addresses = 0
        # What a context takes of its own comes from the driver, which torch's allocator leaves nothing to.
        torch.cuda.empty_cache()

    def _staging(self, name: str, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        return self._host.setdefault(name, Buffer(pinned=True)).view(shape, dtype)

    def _enqueue(self, shapes: Mapping[str, Shape]) -> dict[str, torch.Tensor]:
        """Puts one execution on the stream, whose inputs are in place; its outputs in the lane's buffers."""
        self._forget_moved()
        call = tuple(sorted(shapes.items()))
        captured = self._captured.get(call)
        if captured is not None:
            captured.graph.launch(self._stream.cuda_stream)
            return captured.outputs
        outputs = self._run_and_capture(call, shapes) if self._is_to_capture(call) else None
        if outputs is None:
            if self._plain is None:
                self._plain = self._execution()
            outputs = self._plain.bind(shapes)
            self._plain.run(self._stream.cuda_stream)
        return outputs

    def _forget_moved(self) -> None:
        """Drops the graphs that know addresses from before a buffer grew."""
        if self._memory.moved == self._addresses:
            return
        if self._captured:
            # Their contexts go too, and one of them may still run.
            self._stream.synchronize()
        self._captured.clear()
        self._addresses = self._memory.moved

    def _is_to_capture(self, call: _CallShape) -> bool:
        if self._engine.captures_graphs:
            return False
        is_repeated = call in self._seen
        if len(self._seen) < _MOST_SEEN:
            self._seen.add(call)
        return is_repeated and call not in self._unfit and len(self._captured) < _MOST_GRAPHS

    def _run_and_capture(self, call: _CallShape, shapes: Mapping[str, Shape]) -> dict[str, torch.Tensor] | None:
        """Runs in a context of the call's own, and captures that; None where there is no room for one."""
        import torch

        try:
            execution = self._execution()
            outputs = execution.bind(shapes)
        except (MemoryError, torch.OutOfMemoryError):
            self._stream.synchronize()
            self._unfit.add(call)
            return None
        # A context that was given new shapes must run once before it can be captured, and must not go while it runs.
        execution.run(self._stream.cuda_stream)
        self._stream.synchronize()
        self._forget_moved()
        try:
            graph = Graph(self._capturing, lambda: execution.run(self._capturing))
        except (OpError, MemoryError):
            # Not every network can be captured: one that waits for the device inside can't.
            self._unfit.add(call)
        else:
            self._captured[call] = _Captured(graph, execution, outputs)
        return outputs

    def _execution(self) -> Execution:
        return Execution(self._engine, self._memory, self._stream.cuda_stream)
