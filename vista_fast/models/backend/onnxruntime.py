"""ONNX Runtime: on the CPU, and on CUDA with the build for it. It alone reads files in its own format, ``.ort``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend.choice import check_precision
from vista_fast.models.backend.halving import run_halving
from vista_fast.models.backend.model import Array, Precision, TensorSpec, check_batch, existing, not_loaded
from vista_fast.out_of_memory import says_no_memory

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_DTYPES: dict[str, str] = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    **{f"tensor({kind}{bits})": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
    "tensor(bool)": "bool",
}
"""Of what numpy has; other outputs, such as sequences, are objects."""


def _provider(device: str) -> str | tuple[str, dict[str, int | str]]:
    """The provider for a device; on a GPU, torch's current one, and f32 in full where TF32 is the default."""
    if device == "cpu":
        return _PROVIDERS[device]
    try:
        # Its libraries of CUDA are those that the provider finds loaded.
        import torch

        index = torch.cuda.current_device() if torch.cuda.is_available() else 0
    except ImportError:
        index = 0
    return _PROVIDERS[device], {
        "device_id": index,
        "use_tf32": 0,
        # Searching exhaustively, the default, takes seconds at each new shape, and calls have many.
        "cudnn_conv_algo_search": "HEURISTIC",
        # The default doubles what it takes at each growth, beside a trainer on the same GPU.
        "arena_extend_strategy": "kSameAsRequested",
    }


def check_provider(device: str) -> None:
    """Raises InvalidArgumentError when this build of ONNX Runtime does not run on a device."""
    import onnxruntime

    if device not in _PROVIDERS or _PROVIDERS[device] not in onnxruntime.get_available_providers():
        raise InvalidArgumentError(
            f"this onnxruntime does not run on {device!r}; put its build for CUDA in its place (pip uninstall "
            "onnxruntime, pip install onnxruntime-gpu), or choose device 'cpu'"
        )


class OnnxRuntimeModel:
    """An inference session, which any number of threads may run at once.

    On a GPU it keeps the memory that its largest batch took until it is let go of.
    """

    def __init__(self, path: Path, *, threads: int, precision: Precision, device: str = "cpu") -> None:
        """Load a file.

        Args:
            path: an ONNX file, or one in the library's own format.
            threads: of a run on the CPU.
            precision: "f32", which is f32 in full on a GPU too.
            device: "cpu", or "cuda", which is torch's current one now, whichever thread runs it later.

        Raises:
            InvalidArgumentError: it can't be loaded, or the library does not run it on that device or so precisely.
            NotFoundError: there is no such file.
        """
        import onnxruntime

        check_precision("onnxruntime", precision)
        check_provider(device)
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
            raise not_loaded(path, error) from error
        if _PROVIDERS[device] not in self._session.get_providers():
            raise InvalidArgumentError(
                f"onnxruntime could not load its libraries for {device!r} and would run on the CPU; install the CUDA "
                "and cuDNN that it is built for, or choose device 'cpu'"
            )
        self._device = device
        self.metadata: Mapping[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)
        self.inputs = tuple(_spec(node) for node in self._session.get_inputs())
        self.outputs = tuple(_spec(node) for node in self._session.get_outputs())

    def run(self, batch: Mapping[str, Array], /) -> dict[str, Array]:
        """All outputs by name. A batch that does not fit a GPU's memory runs in halves.

        Raises:
            InvalidArgumentError: names, shapes or dtypes are not those of the inputs.
            ResourceExhaustedError: a single item of the batch does not fit the GPU's memory.
        """
        arrays = check_batch(self.inputs, batch)
        feed = {spec.name: array for spec, array in zip(self.inputs, arrays, strict=True)}
        if self._device == "cpu":
            return self._run(feed)
        return run_halving(self._run_on_gpu, feed, self.inputs, self.outputs, _out_of_memory)

    def _run_on_gpu(self, feed: dict[str, Array]) -> dict[str, Array]:
        """Once more with what torch keeps of the GPU's memory without using it."""
        try:
            return self._run(feed)
        except Exception as error:
            if not _out_of_memory(error) or not _torch_lets_go():
                raise
        return self._run(feed)

    def _run(self, feed: dict[str, Array]) -> dict[str, Array]:
        results = self._session.run(None, feed)
        return {spec.name: result for spec, result in zip(self.outputs, results, strict=True)}


def _spec(node: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else None for size in node.shape)
    return TensorSpec(node.name, shape, np.dtype(_DTYPES.get(node.type, "object")))


def _torch_lets_go() -> bool:
    """Whether torch had unused memory of its GPU to give back."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return False
    kept = torch.cuda.memory_reserved()
    torch.cuda.empty_cache()
    return bool(torch.cuda.memory_reserved() < kept)


def _out_of_memory(error: Exception) -> bool:
    """The library has no class for it."""
    return isinstance(error, MemoryError) or says_no_memory(str(error))
