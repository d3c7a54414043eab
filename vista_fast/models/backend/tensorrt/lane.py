"""Lane: what one thread runs an engine with.

No part of this file has run on a GPU in this project's tests, which have none: it is checked against the signatures of
the libraries only. ``scripts/gpu_check.sh`` on a machine with a GPU is the place to verify it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from vista_fast.errors import OpError
from vista_fast.models.backend.model import Array
from vista_fast.models.backend.profile import Shape
from vista_fast.models.backend.tensorrt.buffers import Buffer
from vista_fast.models.backend.tensorrt.engine import Engine
from vista_fast.models.backend.tensorrt.library import sizes

if TYPE_CHECKING:
    import torch

_CallShape: TypeAlias = tuple[tuple[str, Shape], ...]
_SEEN: Literal["seen"] = "seen"
_UNFIT: Literal["unfit"] = "unfit"
_Graph: TypeAlias = "torch.cuda.CUDAGraph | Literal['seen', 'unfit']"

_MOST_GRAPHS = 16
"""Captured graphs that a lane keeps; each holds some device memory."""


class Lane:
    """An execution context with its own CUDA stream, buffers and CUDA graphs. For one thread at a time.

    Device memory comes from torch's allocator, the context's own included, so that running out of it is one kind of
    error and what other users of torch have freed can be used.
    """

    def __init__(self, engine: Engine) -> None:
        import torch

        self._engine = engine
        self._context = engine.context()
        self._stream: torch.cuda.Stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._profile: int | None = None
        self._device: dict[tuple[int, str], Buffer] = {}
        self._host: dict[str, Buffer] = {}
        self._scratch = Buffer()
        # A shape is in here from its first run on, with a graph from its second.
        self._graphs: OrderedDict[_CallShape, _Graph] = OrderedDict()
        self._addresses = 0

    def run(self, batch: Mapping[str, Array]) -> dict[str, Array]:
        """All outputs for contiguous arrays of the inputs' dtypes; each owns its memory."""
        import torch

        shapes = {name: array.shape for name, array in batch.items()}
        profile = self._engine.profile_of(shapes)
        with torch.cuda.stream(self._stream):
            for name, array in batch.items():
                staged = self._staging(name, array.shape, _torch_dtype(array.dtype))
                np.copyto(staged.numpy(), array)
                self._buffer(profile, name).view(array.shape, staged.dtype).copy_(staged, non_blocking=True)
            outputs = self._enqueue(profile, shapes)
            staged_outputs = {name: self._staging(name, tensor.shape, tensor.dtype) for name, tensor in outputs.items()}
            for name, tensor in outputs.items():
                staged_outputs[name].copy_(tensor, non_blocking=True)
        self._stream.synchronize()
        return {name: staged.numpy().copy() for name, staged in staged_outputs.items()}

    def run_on_device(self, batch: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The same for tensors on the device, without a copy to the host; ordered after and before the work of the
        caller's current stream."""
        import torch

        shapes = {name: tuple(tensor.shape) for name, tensor in batch.items()}
        profile = self._engine.profile_of(shapes)
        caller = torch.cuda.current_stream()
        self._stream.wait_stream(caller)
        with torch.cuda.stream(self._stream):
            for name, tensor in batch.items():
                self._buffer(profile, name).view(tensor.shape, tensor.dtype).copy_(tensor, non_blocking=True)
                tensor.record_stream(self._stream)
            outputs = {name: tensor.clone() for name, tensor in self._enqueue(profile, shapes).items()}
        caller.wait_stream(self._stream)
        for tensor in outputs.values():
            tensor.record_stream(caller)
        return outputs

    def release(self) -> None:
        """Gives back all memory but that of the results."""
        self._stream.synchronize()
        self._graphs.clear()
        self._device.clear()
        self._host.clear()
        self._scratch = Buffer()

    def _buffer(self, profile: int, name: str) -> Buffer:
        return self._device.setdefault((profile, name), Buffer())

    def _staging(self, name: str, shape: Sequence[int], dtype: torch.dtype) -> torch.Tensor:
        return self._host.setdefault(name, Buffer(pinned=True)).view(shape, dtype)

    def _enqueue(self, profile: int, shapes: Mapping[str, Shape]) -> dict[str, torch.Tensor]:
        """Puts one execution on the stream; its outputs in the lane's buffers."""
        call = tuple(sorted(shapes.items()))
        outputs = self._bind(profile, shapes)
        if not self._replayed(call):
            self._execute()
            self._graphs.setdefault(call, _SEEN)
        return outputs

    def _bind(self, profile: int, shapes: Mapping[str, Shape]) -> dict[str, torch.Tensor]:
        """Tells the context the call's shapes and addresses; graphs that know other addresses are dropped."""
        context = self._context
        if profile != self._profile:
            self._demand(context.set_optimization_profile_async(profile, self._stream.cuda_stream), "the profile")
            self._profile = profile
        for name, shape in shapes.items():
            self._demand(context.set_input_shape(name, shape), f"input {name}")
        outputs = {spec.name: self._output(profile, spec.name, spec.dtype) for spec in self._engine.outputs}
        scratch = self._scratch.reserve(context.update_device_memory_size_for_shapes())
        context.set_device_memory(scratch.data_ptr(), scratch.numel())
        for name in (*shapes, *outputs):
            address = self._buffer(profile, name).reserve(0).data_ptr()
            self._demand(context.set_tensor_address(name, address), f"the address of {name}")
        moved = self._scratch.moved + sum(buffer.moved for buffer in self._device.values())
        if moved != self._addresses:
            self._graphs.clear()
            self._addresses = moved
        return outputs

    def _output(self, profile: int, name: str, dtype: np.dtype[Any]) -> torch.Tensor:
        shape = sizes(self._context.get_tensor_shape(name))
        if min(shape, default=0) < 0:
            raise OpError(
                f"the shape of output {name} depends on what is in the inputs; use onnxruntime for this network"
            )
        return self._buffer(profile, name).view(shape, _torch_dtype(dtype))

    def _replayed(self, call: _CallShape) -> bool:
        """Replays the call's graph, captured at the shape's second run; False where there is none to replay."""
        if self._engine.captures_graphs or call not in self._graphs:
            return False
        self._graphs.move_to_end(call)
        if self._graphs[call] is _SEEN:
            self._graphs[call] = self._captured()
            while len(self._graphs) > _MOST_GRAPHS:
                self._graphs.popitem(last=False)
        graph = self._graphs[call]
        if not isinstance(graph, str):
            graph.replay()
            return True
        return False

    def _captured(self) -> _Graph:
        import torch

        # A context that was given new shapes must run once before it can be captured.
        self._execute()
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may allocate meanwhile, which a capture of the whole process would forbid.
            graph.capture_begin(capture_error_mode="thread_local")
            try:
                self._execute()
            finally:
                graph.capture_end()
        except (OpError, RuntimeError):
            # Not every network can be captured: one that waits for the device inside can't.
            return _UNFIT
        return graph

    def _execute(self) -> None:
        """Puts the kernels on the stream. The library lets go of the interpreter's lock meanwhile."""
        self._demand(self._context.execute_async_v3(self._stream.cuda_stream), "the execution")

    def _demand(self, accepted: bool, what: str) -> None:
        if not accepted:
            reason = self._engine.library.log.take()
            failure = MemoryError if "memory" in reason.lower() else OpError
            raise failure(f"{self._engine.library.name} refuses {what}: {reason}")


def _torch_dtype(dtype: np.dtype[Any]) -> torch.dtype:
    import torch

    return torch.from_numpy(np.empty(0, dtype)).dtype
