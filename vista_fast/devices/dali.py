"""Image Ops in DALI pipelines, on a GPU or on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from vista_fast.devices.region import Box
from vista_fast.errors import InvalidArgumentError, MissingExtraError
from vista_fast.out_of_memory import is_out_of_memory

if TYPE_CHECKING:
    import torch

Filter: TypeAlias = Literal["bilinear", "bicubic", "lanczos"]

_FILTERS: dict[str, str] = {"bilinear": "INTERP_LINEAR", "bicubic": "INTERP_CUBIC", "lanczos": "INTERP_LANCZOS3"}

_INPUTS = ("first", "corner", "shape", "size")
_MOST_PIPELINES = 8

Channels: TypeAlias = tuple[float, float, float]


class DaliExecutor:
    """Runs batches of decode, zoom and normalise, each in a DALI pipeline of its own that is built when first used.

    Geometry is that of the native Ops: a box of whole pixels is cut out first, so that nothing outside has
    influence, and resized with antialiasing. The numbers are DALI's: it looks filters up in tables, keeps fractions
    between the two passes and repeats the edge where Pillow leaves it out. ``zoom`` differs from ``image.zoom`` by
    at most 24 grey levels in noise (48 with "lanczos") and 12 in photographs, in the mean by half a level (a whole
    one with "lanczos"), or 3 where a picture shrinks to a handful of pixels; decoded JPEG and PNG are equal where
    ``decodes_alike``, but for JPEG on a GPU, which other code decodes: at most 48 levels off in a photograph, one in
    the mean (tests/devices/test_dali.py). Results are the same whatever else is in a batch.

    Args:
        device: of the pixels that it takes and gives: torch's CPU, or a CUDA device.
        max_batch: of one run; longer lists take several.
        threads: of the CPU parts.

    Raises:
        MissingExtraError: DALI is not installed.
    """

    def __init__(self, device: torch.device, max_batch: int = 32, threads: int = 1) -> None:
        if find_spec("nvidia") is None or find_spec("nvidia.dali") is None:
            raise MissingExtraError(
                "DALI is not installed; pip install 'vista-fast[dali]', or use the native image.* Ops"
            )
        if max_batch < 1 or threads < 1:
            raise InvalidArgumentError(f"max_batch is {max_batch} and threads {threads}; both must be at least 1")
        self.device = device
        self._max_batch = max_batch
        self._threads = threads
        self._pipelines: dict[tuple[Any, ...], Any] = {}
        # A pipeline holds the batch that was fed until it has run.
        self._lock = threading.Lock()

    @property
    def version(self) -> str:
        """Of what computes: part of the identity of results."""
        return f"dali-{_dali().__version__}/{self.device.type}"

    @property
    def decodes_exactly(self) -> bool:
        """Whether what it decodes is what the native decoders give, bit for bit, where ``decodes_alike``: so on the
        CPU; a GPU's own decoder of JPEG need not."""
        return not self._on_gpu

    def decode(self, encoded: Sequence[bytes]) -> list[torch.Tensor]:
        """The pictures, upright, uint8 [height, width, 3] each.

        Raises InvalidArgumentError when DALI can't read one.
        """
        import numpy as np

        buffers = [np.frombuffer(one, np.uint8) for one in encoded]
        if not all(map(len, buffers)):
            raise InvalidArgumentError("an image to decode has no bytes; pass a JPEG, PNG or WebP file's")
        try:
            return self._run(("decode",), [buffers])
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            reason = str(error).strip().splitlines()[0][:200]
            raise InvalidArgumentError(
                f"DALI can't decode an image ({reason}); pass the bytes of a JPEG, PNG or WebP file"
            ) from error

    def zoom(
        self, images: Sequence[torch.Tensor], boxes: Sequence[Box], sizes: Sequence[tuple[int, int]], filter: Filter
    ) -> list[torch.Tensor]:
        """Each image, uint8 [H, W, 3], cropped to its box and resized to its (width, height), as uint8.

        Raises InvalidArgumentError for another filter.
        """
        return self._run(("zoom", _filter(filter)), self._crops(images, boxes, sizes))

    def normalise(
        self,
        images: Sequence[torch.Tensor],
        boxes: Sequence[Box],
        sizes: Sequence[tuple[int, int]],
        filter: Filter,
        mean: Channels,
        std: Channels,
    ) -> list[torch.Tensor]:
        """As ``zoom``, then (value / 255 - mean) / std: float32 [3, height, width]."""
        return self._run(("normalise", _filter(filter), mean, std), self._crops(images, boxes, sizes))

    def _crops(
        self, images: Sequence[torch.Tensor], boxes: Sequence[Box], sizes: Sequence[tuple[int, int]]
    ) -> list[list[Any]]:
        import numpy as np

        corners = [np.array([left, top], np.int32) for left, top, _, _ in boxes]
        shapes = [np.array([right - left, bottom - top], np.int32) for left, top, right, bottom in boxes]
        targets = [np.array([height, width], np.float32) for width, height in sizes]
        pixels = list(images) if self._on_gpu else [image.numpy() for image in images]
        return [pixels, corners, shapes, targets]

    def _run(self, kind: tuple[Any, ...], inputs: list[list[Any]]) -> list[torch.Tensor]:
        results: list[torch.Tensor] = []
        with self._lock:
            for start in range(0, len(inputs[0]), self._max_batch):
                batch = [values[start : start + self._max_batch] for values in inputs]
                try:
                    results += self._run_once(self._pipeline(kind), batch)
                except BaseException:
                    # A pipeline whose run failed takes no further batch, and may hold a part of this one.
                    self._pipelines.pop(kind, None)
                    raise
        return results

    def _pipeline(self, kind: tuple[Any, ...]) -> Any:
        """The pipeline of that kind; only the latest few are kept, because a caller may normalise in many ways."""
        pipeline = self._pipelines.pop(kind, None) or self._build(kind)
        self._pipelines[kind] = pipeline
        if len(self._pipelines) > _MOST_PIPELINES:
            del self._pipelines[next(iter(self._pipelines))]
        return pipeline

    def _run_once(self, pipeline: Any, inputs: list[list[Any]]) -> list[torch.Tensor]:
        import numpy as np
        import torch

        if not self._on_gpu:
            for name, values in zip(_INPUTS, inputs, strict=False):
                pipeline.feed_input(name, values)
            (batch,) = pipeline.run()
            # Copies: the pipeline writes its next batch into the same memory.
            return [torch.from_numpy(np.array(batch.at(n))) for n in range(len(batch))]
        with torch.cuda.device(self.device):
            stream = torch.cuda.current_stream()
            for name, values in zip(_INPUTS, inputs, strict=False):
                pipeline.feed_input(name, values, cuda_stream=stream)
            (batch,) = pipeline.run(stream)
            return [torch.utils.dlpack.from_dlpack(batch[n]).clone() for n in range(len(batch))]

    @property
    def _on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def _build(self, kind: tuple[Any, ...]) -> Any:
        dali = _dali()
        fn, types = dali.fn, dali.types
        place = "gpu" if self._on_gpu else "cpu"
        pipeline = dali.Pipeline(
            batch_size=self._max_batch,
            num_threads=self._threads,
            device_id=(self.device.index or 0) if self._on_gpu else None,
            prefetch_queue_depth=1,
        )
        with pipeline:
            if kind[0] == "decode":
                encoded = fn.external_source(name=_INPUTS[0], dtype=types.UINT8, ndim=1)
                result = fn.decoders.image(
                    encoded, device="mixed" if self._on_gpu else "cpu", output_type=types.RGB, use_fast_idct=False
                )
            else:
                pixels = fn.external_source(name=_INPUTS[0], dtype=types.UINT8, ndim=3, layout="HWC", device=place)
                corner = fn.external_source(name=_INPUTS[1], dtype=types.INT32, ndim=1)
                shape = fn.external_source(name=_INPUTS[2], dtype=types.INT32, ndim=1)
                size = fn.external_source(name=_INPUTS[3], dtype=types.FLOAT, ndim=1)
                crop = fn.slice(pixels, corner, shape, axes=(1, 0))
                result = fn.resize(crop, size=size, interp_type=getattr(types, kind[1]), antialias=True)
            if kind[0] == "normalise":
                result = fn.crop_mirror_normalize(
                    result,
                    dtype=types.FLOAT,
                    output_layout="CHW",
                    mean=[255 * value for value in kind[2]],
                    std=[255 * value for value in kind[3]],
                )
            pipeline.set_outputs(result)
        pipeline.build()
        return pipeline


def _dali() -> Any:
    return import_module("nvidia.dali")


def _filter(name: str) -> str:
    if name not in _FILTERS:
        raise InvalidArgumentError(
            f"filter is {name!r}; DALI resizes as the native Ops do with {', '.join(_FILTERS)}: "
            "pass image.to_host() for another"
        )
    return _FILTERS[name]
