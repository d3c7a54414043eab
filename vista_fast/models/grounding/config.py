"""The settings of grounding."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import BackendName, Precision, available_backends


@dataclass(frozen=True, slots=True)
class GroundingConfig:
    """Which model answers, and how it runs.

    Attributes:
        model: a folder with a Grounding DINO as transformers saves it, or its name on the Hugging Face hub, whose
            files must be on this machine; "coco" takes the closed vocabulary whatever is here. None takes
            grounding-dino-tiny or -base where one is on this machine, else the closed vocabulary.
        backend: library that runs the network: "openvino" or "onnxruntime" on the CPU, "tensorrt" or "tensorrt_rtx" on
            a GPU, or "torch", which runs the model of transformers itself and is slower; None takes the first of the
            CPU's that is installed.
        threads: threads of the network; None takes the engine's budget, else all usable cores.
        precision: "f32", or "bf16" (OpenVINO on CPUs with AMX, TensorRT), or "f16" (TensorRT). In f32 what else is in
            a batch moves scores by at most 1e-3 and boxes by at most 0.1 % of the image's sides.
        shortest_edge: an image is resized to this shorter side, in pixels; None takes the model's own, 800 for both.
            Smaller is faster and finds less.
        longest_edge: its longer side is at most this many pixels; None takes the model's own, 1333 for both.
        max_batch: most calls in one run of the network; a CPU's caches hold no more.
        timeout: seconds that a batch may take, the export and loading of the network with the first one included;
            after that its calls are aborted. None waits for ever.
    """

    model: str | Path | None = None
    backend: BackendName | None = None
    threads: int | None = None
    precision: Precision = "f32"
    shortest_edge: int | None = None
    longest_edge: int | None = None
    max_batch: int = 4
    timeout: float | None = 600.0

    @property
    def library(self) -> str:
        """The name of the library that runs the network here."""
        return self.backend or next(iter(available_backends()), "openvino")

    def __post_init__(self) -> None:
        for name in ("threads", "shortest_edge", "longest_edge", "max_batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidArgumentError(f"{name} must be at least 1, got {value}")
        if self.backend is not None and self.backend not in get_args(BackendName):
            raise InvalidArgumentError(
                f"backend must be None or one of {', '.join(get_args(BackendName))}, got {self.backend!r}"
            )
        if self.backend == "torch" and self.precision != "f32":
            raise InvalidArgumentError(
                f"torch runs grounding in f32 only, got precision {self.precision!r}; use openvino for it"
            )
