"""The settings of segmentation."""

from __future__ import annotations

from dataclasses import dataclass

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import BackendName, available_backends


@dataclass(frozen=True, slots=True)
class SegmentationConfig:
    """How images are segmented.

    The encoder is a file in ONNX Runtime's own format, which that library alone reads, in f32. So is the decoder's
    precision.

    Attributes:
        backend: library that runs the decoder: "openvino" or "onnxruntime" on the CPU, "tensorrt" or "tensorrt_rtx" on
            a GPU; None takes the first of the CPU's that is installed. "torch" opens files of its own only, and not
            this one.
        threads: threads of each network; None takes the engine's budget, else all usable cores.
        timeout: seconds that a batch may take, the loading of the networks with the first one included; after that its
            calls are aborted. None waits for ever.
    """

    backend: BackendName | None = None
    threads: int | None = None
    timeout: float | None = 300.0

    @property
    def library(self) -> str:
        """The name of the library that runs the decoder here."""
        return self.backend or next(iter(available_backends()), "onnxruntime")

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise InvalidArgumentError(f"threads must be at least 1 or None, got {self.threads}")
        if self.timeout is not None and not self.timeout > 0:
            raise InvalidArgumentError(f"timeout must be seconds above 0 or None, got {self.timeout}")
