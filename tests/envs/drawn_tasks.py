"""A small dataset of drawn images, for the environments of these tests."""

from __future__ import annotations

import numpy as np

from vista_fast.types import Task


class Drawn:
    """Tasks over grey images of different sizes."""

    name = "drawn"

    def __init__(self, size: int = 5) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int, /) -> Task:
        image = np.full((30 + index, 40, 3), 10 * index, dtype=np.uint8)
        return Task(
            id=f"drawn/{index}",
            dataset=self.name,
            family="drawn",
            question=f"How many? ({index}) — Größe 数",
            images=(image,),
            truth=str(index),
            verifier=str.__eq__,
        )
