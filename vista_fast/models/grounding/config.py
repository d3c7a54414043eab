"""The settings of grounding."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import (
    BackendName,
    Device,
    Precision,
    check_choice,
    check_precision,
    chosen_backend,
    device_of,
)


@dataclass(frozen=True, slots=True)
class GroundingConfig:
    """Which model answers, and how it runs.

    Attributes:
        model: a folder with a Grounding DINO as transformers saves it, or its name on the Hugging Face hub, whose
            files must be on this machine; "coco" takes the closed vocabulary whatever is here. None takes
            grounding-dino-tiny or -base where one is on this machine, else the closed vocabulary.
        backend: library that runs the network: "openvino" on the CPU, "tensorrt" or "tensorrt_rtx" on a GPU,
            "onnxruntime" on both, or "torch", which does too, runs the model of transformers itself and is slower; None
            takes the fastest of the device's that is installed. Where a model can't be exported for the others, torch
            runs it; it does not run the detector of COCO's classes, which takes what None takes then.
        device: where it runs: "cpu" or "cuda", the GPU that is torch's current one when the Ops are registered; None
            takes the CPU, and "cuda" for a backend that knows no other. On a GPU torch has convolutions in TF32 while
            ``torch.backends.cudnn.allow_tf32`` is set, and products while ``torch.backends.cuda.matmul.allow_tf32`` is,
            which is the program's to say.
        threads: threads of the network; None takes the engine's budget, else all usable cores.
        precision: "f32"; for the detector of COCO's classes also "bf16" (OpenVINO on CPUs with AMX) and "f16"
            (TensorRT). In f32 what else is in a batch moves scores by at most 1e-3 and boxes by at most 0.1 % of the
            image's sides. The detector holds scores in bf16 and f16 within 0.02 of f32's and boxes within an overlap of
            0.97, of what scores 0.3 or more in photographs, and of 0.85 where things are small or unclear. Grounding
            DINO is refused in another precision than f32: with random weights some scores and boxes change by much.
        shortest_edge: an image is resized to this shorter side, in pixels; None takes the model's own, 800 for both.
            Smaller is faster and finds less.
        longest_edge: its longer side is at most this many pixels; None takes the model's own, 1333 for both.
        padding: whether a resized image is padded to one of five sizes, as in a batch of several sizes of transformers'
            (``pad_size``): what is found is the same as there. Padding moves what Grounding DINO finds: little beside
            an image of 1:1, 4:3 or 3:4, more where an image is thin and much of the canvas is empty. False finds what
            transformers finds in one image alone, and is slower: only images that are resized to one size share a
            batch, and torch runs the network, because the other libraries need an export for each size.
        max_batch: most calls in one run of the network; a CPU's caches hold no more.
        timeout: seconds that a batch may take, the export and loading of the network with the first one included;
            after that its calls are aborted. None waits for ever.
    """

    model: str | Path | None = None
    backend: BackendName | None = None
    device: Device | None = field(default=None, kw_only=True)
    threads: int | None = None
    precision: Precision = "f32"
    shortest_edge: int | None = None
    longest_edge: int | None = None
    padding: bool = field(default=True, kw_only=True)
    max_batch: int = 4
    timeout: float | None = 600.0

    @property
    def library(self) -> str:
        """The name of the library that runs the network here."""
        return (self.backend or chosen_backend(self.device)) if self.padding else "torch"

    @property
    def coco_library(self) -> str:
        """The same for the detector of COCO's classes, which is no file of torch's."""
        return self.library if self.library != "torch" else chosen_backend(self.device, without_torch=True)

    @property
    def runs_on(self) -> Device:
        """The device of the networks here."""
        return device_of(self.library, self.device)

    def __post_init__(self) -> None:
        check_choice(self.backend, self.device)
        check_precision(self.backend, self.precision)
        for name in ("threads", "shortest_edge", "longest_edge", "max_batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidArgumentError(f"{name} must be at least 1, got {value}")
        if not self.padding and (self.backend not in (None, "torch") or self.precision != "f32"):
            raise InvalidArgumentError(
                f"without padding torch runs the network in f32, got backend {self.backend!r} and precision "
                f"{self.precision!r}; leave them out, or keep padding"
            )
