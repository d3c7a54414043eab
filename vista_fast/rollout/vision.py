"""Images as the policy sees them: preprocessed once by the engine, shared by every rollout and by training."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from vista_fast.engine.opening import left_of
from vista_fast.engine.placing import Placing
from vista_fast.rollout.generator import Patches
from vista_fast.types import SeenImage

if TYPE_CHECKING:
    from vista_fast.engine import Engine


@dataclass(frozen=True, slots=True)
class VisionSettings:
    """The policy's image processor: sizes in pixels, ``mean`` and ``std`` per channel on a 0 to 1 scale.

    The defaults are those of Qwen2-VL and Qwen2.5-VL.
    """

    patch_size: int = 14
    merge_size: int = 2
    temporal_patch_size: int = 2
    min_pixels: int = 56 * 56
    max_pixels: int = 28 * 28 * 1280
    mean: tuple[float, float, float] = (0.48145466, 0.4578275, 0.40821073)
    std: tuple[float, float, float] = (0.26862954, 0.26130258, 0.27577711)


class Preprocessor:
    """Patches of Images by the engine's op ``image.preprocess``, which shares them: its cache does, or on a device the
    Op that stands for it there.

    Args:
        engine: the engine that holds the Images.
        settings: the policy's image processor.
    """

    def __init__(self, engine: Engine, settings: VisionSettings) -> None:
        self._engine = engine
        self._arguments: dict[str, Any] = asdict(settings)

    async def patches(
        self, images: Sequence[SeenImage], *, flow: str | None = None, priority: int = 0, deadline: float | None = None
    ) -> list[Patches]:
        """The Patches of each Image, in order; what is missing is computed in one batch with everyone else's."""
        made = time.monotonic()
        taken = await Placing(self._engine).beside_loop("image.preprocess", images)
        left = left_of(deadline, time.monotonic() - made)
        calls = [
            self._engine.acall(
                "image.preprocess", image, flow=flow, priority=priority, deadline=left, **self._arguments
            )
            for image in taken
        ]
        results = await asyncio.gather(*calls)
        return [_patches(image, result) for image, result in zip(images, results, strict=True)]

    def patches_now(self, images: Sequence[SeenImage]) -> list[Patches]:
        """``patches``, waiting for the result: for training, outside of an event loop."""
        taken = Placing(self._engine).now("image.preprocess", images)
        calls = [self._engine.submit("image.preprocess", image, **self._arguments) for image in taken]
        return [_patches(image, call.result()) for image, call in zip(images, calls, strict=True)]


def _patches(image: SeenImage, result: Mapping[str, Any]) -> Patches:
    t, h, w = (int(side) for side in result["grid_thw"])
    return Patches(image.hash, result["pixel_values"], (t, h, w), image)
