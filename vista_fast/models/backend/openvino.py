"""OpenVINO: the fastest on CPUs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend.model import Array, Precision, TensorSpec, check_batch, existing
from vista_fast.models.backend.openvino_graph import rearrange

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
    """A compiled model with one infer request per calling thread."""

    def __init__(self, path: Path, *, threads: int, precision: Precision, device: str = "cpu") -> None:
        if device != "cpu":
            raise InvalidArgumentError(f"openvino runs on CPU here, got device {device!r}; use onnxruntime for it")
        if precision == "f16":
            raise InvalidArgumentError(
                "openvino runs f32 or bf16 on CPUs, got precision 'f16'; choose one of them, or tensorrt on a GPU"
            )
        core = openvino_core()
        existing(path)
        try:
            model = core.read_model(path)
            info = dict(model.get_rt_info().items())
            rearrange(model)
            # On a CPU with AMX the library's own default precision is bf16, which changes what comes out.
            self._model: Any = core.compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": precision,
                    "INFERENCE_NUM_THREADS": threads,
                    "NUM_STREAMS": 1,
                    "ENABLE_CPU_PINNING": False,
                },
            )
        except Exception as error:  # the library has its own classes
            raise InvalidArgumentError(f"{path} can't be loaded as an ONNX network: {error}") from error
        self.metadata: Mapping[str, str] = {key: str(entry.value) for key, entry in info.get("framework", {}).items()}
        self.inputs = tuple(_spec(port) for port in self._model.inputs)
        self.outputs = tuple(_spec(port) for port in self._model.outputs)
        self._local = threading.local()

    def run(self, batch: Mapping[str, Array], /) -> dict[str, Array]:
        arrays = check_batch(self.inputs, batch)
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._model.create_infer_request()
        request.infer(arrays, share_inputs=True)
        return {spec.name: request.get_output_tensor(at).data.copy() for at, spec in enumerate(self.outputs)}


def _spec(port: Any) -> TensorSpec:
    shape = tuple(int(size.get_length()) if size.is_static else None for size in port.get_partial_shape())
    return TensorSpec(port.get_any_name(), shape, np.dtype(port.get_element_type().to_dtype()))
