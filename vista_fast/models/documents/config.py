"""The settings of reading documents. The thresholds are RapidLayout's."""

from __future__ import annotations

from dataclasses import dataclass, field

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import BackendName, Device, check_choice, chosen_backend, device_of


@dataclass(frozen=True, slots=True)
class DocumentConfig:
    """How the regions of pages and the cells of tables are found, always in f32.

    Attributes:
        backend: library that runs the layout's network: "openvino" on the CPU, "tensorrt" or "tensorrt_rtx" on a GPU,
            or "onnxruntime" on both; None takes the fastest of the device's that is installed. The table's has a loop
            that OpenVINO can't convert, and runs on ONNX Runtime. "torch" opens files of its own only, and not these.
        device: where both networks run: "cpu" or "cuda", the GPU that is torch's current one when the Ops are
            registered; None takes the CPU, but "cuda" for the layout's on a backend that knows no other.
        threads: threads of each network; None takes the engine's budget, else all usable cores.
        score_threshold: a region needs a score above this, in [0, 1].
        overlap_threshold: of two regions of one class whose intersection over union is above this, the one with the
            lower score is dropped; in [0, 1].
        timeout: seconds that a batch may take, the loading of its network with the first one included; after that its
            calls are aborted. None waits for ever.
    """

    backend: BackendName | None = None
    device: Device | None = field(default=None, kw_only=True)
    threads: int | None = None
    score_threshold: float = 0.5
    overlap_threshold: float = 0.5
    timeout: float | None = 120.0

    @property
    def library(self) -> str:
        """The name of the library that runs the layout's network here."""
        return self.backend or chosen_backend(self.device)

    @property
    def runs_on(self) -> Device:
        """The device of the layout's network here."""
        return device_of(self.library, self.device)

    def __post_init__(self) -> None:
        check_choice(self.backend, self.device, opens="the layout's network")
        if self.threads is not None and self.threads < 1:
            raise InvalidArgumentError(f"threads must be at least 1 or None, got {self.threads}")
        if self.timeout is not None and not self.timeout > 0:
            raise InvalidArgumentError(f"timeout must be seconds above 0 or None, got {self.timeout}")
        for name in ("score_threshold", "overlap_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidArgumentError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
