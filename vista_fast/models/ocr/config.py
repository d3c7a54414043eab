"""The settings of text reading. The defaults are RapidOCR 3.10's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

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
from vista_fast.models.ocr.weights import DETECTOR, RECOGNISER


@dataclass(frozen=True, slots=True)
class OcrConfig:
    """How text is found and read.

    Attributes:
        backend: library that runs the networks: "openvino" on the CPU, "tensorrt" or "tensorrt_rtx" on a GPU,
            "onnxruntime" on both; None takes the fastest of the device's that is installed. "torch" opens files of its
            own only, and not these.
        device: where they run: "cpu" or "cuda", the GPU that is torch's current one when the Ops are registered; None
            takes the CPU, and "cuda" for a backend that knows no other.
        detector: the detection network: the name of PP-OCR weights (``vista-fast weights list``), or the path of an
            ONNX file of PP-OCRv4, v5 or v6.
        recogniser: the recognition network, likewise.
        characters: a text file of UTF-8 with the characters of the recogniser's classes, one a line, without the blank
            and the space; None for those in the metadata of the network's file, or known by its name.
        threads: threads of each network; None takes the engine's budget, else all usable cores.
        precision: "f32"; or "bf16" (OpenVINO on CPUs that compute in it, and TensorRT), or "f16" (TensorRT): faster, at
            most 0.5 % of the characters otherwise (`benchmarks/ocr.py`; TensorRT's networks run on a CPU,
            tests/models/test_ocr_in_low_precision.py). On a CPU what else is in a batch moves
            boxes not at all, and scores by at most 1e-4 in f32 and 0.02 in bf16. On a CPU with AMX convolutions, and
            the last layer of recognition, run in kernels of our own within OpenVINO's networks: in f32 by three
            products of bfloat16 for each of float32, off by 2^-16 of it at most; text stays RapidOCR's, and boxes
            within 0.001 pixels of its, in 96 pictures (tests/models). VISTA_FAST_OWN_KERNELS=0 leaves them to OpenVINO.
        detector_precision: of the detection network; None takes ``precision``, on OpenVINO "mixed" for "bf16". "bf16"
            is somewhat faster, but moves boxes by a pixel, and with them what is read of small or unclear lines; "f32"
            leaves the boxes as they are. In our own kernels "mixed" is "bf16" with three products in the first layer.
        limit_side_len: detection resizes the image so that its shorter side is at least this many pixels ("min"), or
            its longer side at most ("max").
        limit_type: "min" or "max".
        max_side_len: an image with a longer side is shrunk to it before anything else, in pixels.
        min_side_len: an image with a shorter side is enlarged to it before anything else, in pixels.
        max_aspect: an image wider than this many times its height is padded with black above and below.
        pixel_threshold: probability above which a pixel of the detection map is text.
        box_threshold: mean probability that a box needs to be kept.
        unclip_ratio: a box grows by area × ratio / perimeter, because the network finds shrunk lines.
        max_candidates: contours looked at per image, and as many again while at least half of the latest are lines: of
            noise no more than RapidOCR looks at, of a page of thousands of lines all.
        text_threshold: mean character probability that a line needs to be kept.
        timeout: seconds that a batch may take, the loading of the networks with the first one included; after that its
            calls are aborted. None waits for ever.
    """

    backend: BackendName | None = None
    device: Device | None = field(default=None, kw_only=True)
    detector: str = DETECTOR
    recogniser: str = RECOGNISER
    characters: str | None = field(default=None, kw_only=True)
    threads: int | None = None
    precision: Precision = "f32"
    detector_precision: Precision | None = None
    limit_side_len: int = 736
    limit_type: Literal["min", "max"] = "min"
    max_side_len: int = 2000
    min_side_len: int = 30
    max_aspect: float = 8.0
    pixel_threshold: float = 0.3
    box_threshold: float = 0.5
    unclip_ratio: float = 1.6
    max_candidates: int = 1000
    text_threshold: float = 0.5
    timeout: float | None = 120.0

    @classmethod
    def at_side(cls, side: int, precision: Precision = "f32") -> OcrConfig:
        """Every image is read with its longer side at ``side`` pixels, or smaller as it is."""
        return cls(precision=precision, limit_side_len=side, limit_type="max", max_side_len=side)

    @property
    def detects_in(self) -> Precision:
        """The precision of the detection network."""
        if self.detector_precision is None and self.precision == "bf16" and self.library == "openvino":
            return "mixed"
        return self.detector_precision or self.precision

    @property
    def library(self) -> str:
        """The name of the library that runs the networks here."""
        return self.backend or chosen_backend(self.device)

    @property
    def runs_on(self) -> Device:
        """The device of the networks here."""
        return device_of(self.library, self.device)

    def __post_init__(self) -> None:
        check_choice(self.backend, self.device, opens="the networks of OCR")
        check_precision(self.backend, self.precision)
        if self.detector_precision is not None:
            check_precision(self.backend, self.detector_precision)
        if self.limit_type not in ("min", "max"):
            raise InvalidArgumentError(f'limit_type must be "min" or "max", got {self.limit_type!r}')
        if self.limit_side_len < 32:
            raise InvalidArgumentError(f"limit_side_len must be at least 32 pixels, got {self.limit_side_len}")
        if not 32 <= self.min_side_len + 2 <= self.max_side_len:
            raise InvalidArgumentError(
                "min_side_len must be at least 30 and below max_side_len, "
                f"got {self.min_side_len} and {self.max_side_len}"
            )
        if self.max_candidates < 1:
            raise InvalidArgumentError(f"max_candidates must be at least 1, got {self.max_candidates}")
        if self.threads is not None and self.threads < 1:
            raise InvalidArgumentError(f"threads must be at least 1 or None, got {self.threads}")
        for name in ("pixel_threshold", "box_threshold", "text_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidArgumentError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
