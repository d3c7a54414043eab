"""Images of calls where their Op can take them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vista_fast.types import is_placed, on_host

if TYPE_CHECKING:
    from vista_fast._core import Image
    from vista_fast.engine.engine import Engine
    from vista_fast.types import SeenImage


class Placing:
    """Images as an Op takes them: where they lie, or as a copy on the host, which is made once for all that follow."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._copies: dict[str, Image] = {}

    def now(self, op: str, images: Sequence[SeenImage]) -> list[SeenImage]:
        """The images in order; waits for the device where one has to be copied."""
        return [self._copy(image) if self._needs_copy(op, image) else image for image in images]

    async def beside_loop(self, op: str, images: Sequence[SeenImage]) -> list[SeenImage]:
        """``now``, off the running loop where there is something to copy."""
        if any(self._needs_copy(op, image) and image.hash not in self._copies for image in images):
            return await asyncio.to_thread(self.now, op, images)
        return self.now(op, images)

    def _needs_copy(self, op: str, image: SeenImage) -> bool:
        return is_placed(image) and not self._engine.takes(op, type(image))

    def _copy(self, image: SeenImage) -> Image:
        if image.hash not in self._copies:
            self._copies[image.hash] = on_host(image)
        return self._copies[image.hash]
