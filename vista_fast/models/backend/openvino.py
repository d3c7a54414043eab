"""OpenVINO: the fastest on CPUs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend.choice import check_precision
from vista_fast.models.backend.model import Array, Precision, TensorSpec, check_batch, existing, not_loaded
from vista_fast.models.backend.openvino_graph import rearrange, without_softmax
from vista_fast.models.backend.openvino_split import split
from vista_fast.models.backend.own_layers import (
    first_layers,
    in_fewer_nodes,
    mostly_convolutions,
    take_head,
    uses_own_kernels,
)

Seen = TypeVar("Seen")

_IN_F32 = 1 / 8
"""The share of the convolutions of a network in "mixed" that compute in f32. On PP-OCR's detection they are the ones of
many pixels and few channels: they gain least from bf16, and their rounding moves all that comes after them."""

_core_lock = threading.Lock()
_core: Any = None


def openvino_core() -> Any:
    """The one OpenVINO core of the process, which is never let go of.

    Its CPU plugin gives the thread that loads it a signal stack and frees it with the core, on whatever thread that
    is: the next signal to the first thread (Ctrl-C) would then end the process with a segmentation fault.
    """
    global _core
    with _core_lock:
        if _core is None:
            import openvino

            _core = openvino.Core()
        return _core


class OpenVinoModel:
    """A network as parts that run one after the other: compiled by OpenVINO, with one infer request per calling thread;
    or, of the first layers on a CPU with AMX, in kernels of our own."""

    def __init__(
        self, path: Path, *, threads: int, precision: Precision, device: str = "cpu", logits: bool = False
    ) -> None:
        """``logits``: the output is what comes before the softmax over the last axis that the network ends with, under
        the same name; ``gives_logits`` says whether it ends so. Where kernels of our own run the last linear layer too,
        it is what that takes, and ``head`` is that layer, a ``ClassHead``. ``classes`` is the size of the last axis in
        any case, where the file has it."""
        if device != "cpu":
            raise InvalidArgumentError(f"openvino runs on CPU here, got device {device!r}; use onnxruntime for it")
        check_precision("openvino", precision)
        existing(path)
        try:
            model = openvino_core().read_model(path)
            info = dict(model.get_rt_info().items())
            suits_ours = uses_own_kernels() and mostly_convolutions(model) and in_fewer_nodes(model)
            rearrange(model)
            self.threads = threads
            self.classes = _last_size(_spec(model.outputs[0]))
            self.gives_logits = logits and without_softmax(model)
            self.head = take_head(model, precision) if suits_ours and self.gives_logits else None
            self.inputs = tuple(_spec(port) for port in model.inputs)
            self.outputs = tuple(_spec(port) for port in model.outputs)
            own = first_layers(model, precision) if suits_ours else None
            self._parts: list[_Compiled | _Own] = []
            if own is None:
                self._parts += [_Compiled(part, each, threads) for part, each in _in_parts(model, precision)]
            else:
                self._parts.append(_Own(own.network, threads))
            if own is not None and own.rest is not None:
                self._parts.append(_Compiled(own.rest, "f32" if precision == "f32" else "bf16", threads))
        except Exception as error:  # the library has its own classes
            raise not_loaded(path, error) from error
        self.metadata: Mapping[str, str] = {key: str(entry.value) for key, entry in info.get("framework", {}).items()}

    def run(self, batch: Mapping[str, Array], /) -> dict[str, Array]:
        if not self._parts[-1].lends:
            return self.look(batch, dict)
        return self.look(batch, lambda outputs: {name: array.copy() for name, array in outputs.items()})

    def look(self, batch: Mapping[str, Array], see: Callable[[dict[str, Array]], Seen], /) -> Seen:
        """What ``see`` makes of the outputs that ``run`` would copy. They are the thread's until it runs again.

        Raises:
            InvalidArgumentError: names, shapes or dtypes are not those of the inputs.
        """
        arrays = check_batch(self.inputs, batch)
        passed: Sequence[Array] = arrays
        for part in self._parts:
            passed = part.run(passed)
        return see({spec.name: array for spec, array in zip(self.outputs, passed, strict=True)})


class _Compiled:
    """A part in OpenVINO. What it gives is lent: it is the thread's until it runs again."""

    lends = True

    def __init__(self, model: Any, precision: str, threads: int) -> None:
        # On a CPU with AMX the library's own default precision is bf16, which changes what comes out.
        self._model = openvino_core().compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": precision,
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._local = threading.local()

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._model.create_infer_request()
        request.infer(list(inputs), share_inputs=True)
        return [request.get_output_tensor(at).data for at in range(len(self._model.outputs))]


class _Own:
    """A part in kernels of our own. What it gives is its caller's."""

    lends = False

    def __init__(self, network: Any, threads: int) -> None:
        self._network, self._threads = network, min(threads, 1024)

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        (images,) = inputs
        return [self._network.run(images, threads=self._threads)]


def _in_parts(model: Any, precision: Precision) -> list[tuple[Any, str]]:
    """What is to be compiled one after the other, and in which precision."""
    if precision != "mixed":
        return [(model, precision)]
    parts = split(model, _IN_F32)
    return [(model, "bf16")] if parts is None else list(zip(parts, ("f32", "bf16"), strict=True))


def _last_size(spec: TensorSpec) -> int | None:
    return spec.shape[-1] if spec.shape else None


def _spec(port: Any) -> TensorSpec:
    shape = tuple(int(size.get_length()) if size.is_static else None for size in port.get_partial_shape())
    return TensorSpec(port.get_any_name(), shape, np.dtype(port.get_element_type().to_dtype()))
