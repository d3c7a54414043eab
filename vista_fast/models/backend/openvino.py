"""OpenVINO: the fastest on CPUs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend.model import Array, Precision, TensorSpec, check_batch, existing
from vista_fast.models.backend.openvino_graph import rearrange, without_softmax
from vista_fast.models.backend.openvino_split import split

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
    """A network as one compiled model, or as two of which the second takes what the first gives; with one infer request
    of each per calling thread."""

    def __init__(
        self, path: Path, *, threads: int, precision: Precision, device: str = "cpu", logits: bool = False
    ) -> None:
        """``logits``: the output is what comes before the softmax over the last axis that the network ends with, under
        the same name; ``gives_logits`` says whether it ends so."""
        if device != "cpu":
            raise InvalidArgumentError(f"openvino runs on CPU here, got device {device!r}; use onnxruntime for it")
        if precision == "f16":
            raise InvalidArgumentError(
                "openvino runs f32, bf16 or mixed on CPUs, got precision 'f16'; choose one of them, or tensorrt on a "
                "GPU"
            )
        existing(path)
        try:
            model = openvino_core().read_model(path)
            info = dict(model.get_rt_info().items())
            rearrange(model)
            self.gives_logits = logits and without_softmax(model)
            parts = _in_parts(model, precision)
            self._parts: list[Any] = [_compiled(part, each, threads) for part, each in parts]
        except Exception as error:  # the library has its own classes
            raise InvalidArgumentError(f"{path} can't be loaded as an ONNX network: {error}") from error
        self.metadata: Mapping[str, str] = {key: str(entry.value) for key, entry in info.get("framework", {}).items()}
        self.inputs = tuple(_spec(port) for port in self._parts[0].inputs)
        self.outputs = tuple(_spec(port) for port in self._parts[-1].outputs)
        self._local = threading.local()

    def run(self, batch: Mapping[str, Array], /) -> dict[str, Array]:
        return self.look(batch, lambda outputs: {name: array.copy() for name, array in outputs.items()})

    def look(self, batch: Mapping[str, Array], see: Callable[[dict[str, Array]], Seen], /) -> Seen:
        """What ``see`` makes of the outputs that ``run`` would copy. They are the thread's until it runs again.

        Raises:
            InvalidArgumentError: names, shapes or dtypes are not those of the inputs.
        """
        arrays = check_batch(self.inputs, batch)
        requests = getattr(self._local, "requests", None)
        if requests is None:
            requests = self._local.requests = [part.create_infer_request() for part in self._parts]
        requests[0].infer(arrays, share_inputs=True)
        for before, request in pairwise(requests):
            request.set_input_tensor(before.get_output_tensor(0))
            request.infer()
        return see({spec.name: requests[-1].get_output_tensor(at).data for at, spec in enumerate(self.outputs)})


def _in_parts(model: Any, precision: Precision) -> list[tuple[Any, str]]:
    """What is to be compiled one after the other, and in which precision."""
    if precision != "mixed":
        return [(model, precision)]
    parts = split(model, _IN_F32)
    return [(model, "bf16")] if parts is None else list(zip(parts, ("f32", "bf16"), strict=True))


def _compiled(model: Any, precision: str, threads: int) -> Any:
    # On a CPU with AMX the library's own default precision is bf16, which changes what comes out.
    return openvino_core().compile_model(
        model,
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        },
    )


def _spec(port: Any) -> TensorSpec:
    shape = tuple(int(size.get_length()) if size.is_static else None for size in port.get_partial_shape())
    return TensorSpec(port.get_any_name(), shape, np.dtype(port.get_element_type().to_dtype()))
