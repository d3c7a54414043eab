"""ONNX Runtime: on the CPU, and on CUDA with the build for it. It alone reads files in its own format, ``.ort``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend.model import Array, Precision, TensorSpec, check_batch, existing

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}


def _provider(device: str) -> str | tuple[str, dict[str, int]]:
    """The provider for a device; on a GPU, torch's current one, and f32 in full where TF32 is the default."""
    if device == "cpu":
        return _PROVIDERS[device]
    try:
        # Its libraries of CUDA are those that the provider finds loaded.
        import torch

        index = torch.cuda.current_device() if torch.cuda.is_available() else 0
    except ImportError:
        index = 0
    return _PROVIDERS[device], {"device_id": index, "use_tf32": 0}


class OnnxRuntimeModel:
    """An inference session, which any number of threads may run at once."""

    def __init__(self, path: Path, *, threads: int, precision: Precision, device: str = "cpu") -> None:
        import onnxruntime

        if precision != "f32":
            raise InvalidArgumentError(
                f"onnxruntime runs f32 only here, got precision {precision!r}; use openvino for it"
            )
        if _PROVIDERS[device] not in onnxruntime.get_available_providers():
            raise InvalidArgumentError(
                f"this onnxruntime does not run on {device!r}; pip install onnxruntime-gpu, or choose device 'cpu'"
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Errors alone: some files declare shapes that their loops outgrow, which else is told at every step.
        options.log_severity_level = 3
        # Idle threads that spin would take the cores that decoding needs meanwhile.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        existing(path)
        try:
            self._session: Any = onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=[_provider(device)]
            )
        except Exception as error:  # the library has its own classes
            raise InvalidArgumentError(f"{path} can't be loaded as an ONNX network: {error}") from error
        if _PROVIDERS[device] not in self._session.get_providers():
            raise InvalidArgumentError(
                f"onnxruntime could not load its libraries for {device!r} and would run on the CPU; install the CUDA "
                "and cuDNN that it is built for, or choose device 'cpu'"
            )
        self.metadata: Mapping[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.inputs = tuple(_spec(node) for node in self._session.get_inputs())
        self.outputs = tuple(_spec(node) for node in self._session.get_outputs())

    def run(self, batch: Mapping[str, Array], /) -> dict[str, Array]:
        arrays = check_batch(self.inputs, batch)
        feed = {spec.name: array for spec, array in zip(self.inputs, arrays, strict=True)}
        results = self._session.run(None, feed)
        return {spec.name: result for spec, result in zip(self.outputs, results, strict=True)}


def _spec(node: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorSpec(node.name, shape, np.dtype(_DTYPES.get(node.type, np.float32)))
