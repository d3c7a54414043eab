"""The settings of segmentation."""

from __future__ import annotations

from dataclasses import dataclass, field

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import BackendName, Device, check_choice, chosen_backend, device_of


@dataclass(frozen=True, slots=True)
class SegmentationConfig:
    """How images are segmented, in f32.

    The encoder is a file in ONNX Runtime's own format, which that library alone reads, and runs on the CPU. For
    ``device="cuda"`` it is written anew as an ONNX file with the first call (134 MB, kept beside the weights), which
    the decoder's library runs.

    Attributes:
        backend: library that runs the decoder: "onnxruntime" or "openvino" on the CPU, "tensorrt", "tensorrt_rtx" or
            "onnxruntime" on a GPU; None takes the fastest of the device's that is installed, on the CPU ONNX Runtime.
            "torch" opens files of its own only, and not this one.
        device: where both networks run: "cpu" or "cuda", the GPU that is torch's current one when the Ops are
            registered; None takes the CPU, but "cuda" for the decoder on a backend that knows no other.
        threads: threads of each network; None takes the engine's budget, else all usable cores.
        timeout: seconds that a batch may take, the loading of the networks with the first one included; after that its
            calls are aborted. None waits for ever.
    """

    backend: BackendName | None = None
    device: Device | None = field(default=None, kw_only=True)
    threads: int | None = None
    timeout: float | None = 300.0

    @property
    def library(self) -> str:
        """The name of the library that runs the decoder here."""
        return self.backend or chosen_backend(self.device, on_cpu="onnxruntime")

    @property
    def runs_on(self) -> Device:
        """The device of the decoder here."""
        return device_of(self.library, self.device)

    def __post_init__(self) -> None:
        check_choice(self.backend, self.device, opens="SAM 2's networks")
        if self.threads is not None and self.threads < 1:
            raise InvalidArgumentError(f"threads must be at least 1 or None, got {self.threads}")
        if self.timeout is not None and not self.timeout > 0:
            raise InvalidArgumentError(f"timeout must be seconds above 0 or None, got {self.timeout}")
