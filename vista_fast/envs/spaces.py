"""Gymnasium spaces for text of any length and images of any size."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Space

from vista_fast.errors import InvalidArgumentError

Pixels: TypeAlias = "npt.NDArray[np.uint8]"
"""An RGB image: uint8 [H, W, 3]."""


class UnicodeText(Space[str]):
    """Every string, of any length. Samples have at most ``longest_sample`` characters of all planes of Unicode."""

    def __init__(self, longest_sample: int = 64, seed: int | np.random.Generator | None = None) -> None:
        if longest_sample < 0:
            raise InvalidArgumentError(f"longest_sample is {longest_sample}; it can't be negative")
        self.longest_sample = longest_sample
        super().__init__(dtype=str, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """A random string; masks and probabilities are not supported."""
        _refuse_masks(mask, probability)
        length = int(self.np_random.integers(self.longest_sample, endpoint=True))
        # Half of the characters from the Basic Latin letters and signs, half from anywhere but the surrogates.
        plain = self.np_random.integers(0x20, 0x7F, size=length)
        anywhere = self.np_random.integers(0x110000 - 0x800, size=length)
        anywhere += np.where(anywhere >= 0xD800, 0x800, 0)
        codes = np.where(self.np_random.random(length) < 0.5, plain, anywhere)
        return "".join(map(chr, codes))

    def contains(self, x: Any) -> bool:
        return isinstance(x, str)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UnicodeText)

    __hash__ = None  # type: ignore[assignment]  # as other spaces

    def __repr__(self) -> str:
        return "UnicodeText()"


class Images(Space["tuple[Pixels, ...]"]):
    """Every tuple (or list) of RGB images, each uint8 [H, W, 3] of its own size, none included.

    Samples have at most ``most_samples`` images with sides of 1 to ``longest_side`` pixels.
    """

    def __init__(
        self, most_samples: int = 3, longest_side: int = 32, seed: int | np.random.Generator | None = None
    ) -> None:
        if most_samples < 0 or longest_side < 1:
            raise InvalidArgumentError(f"no image to sample from with {most_samples=} and {longest_side=}")
        self.most_samples = most_samples
        self.longest_side = longest_side
        super().__init__(dtype=np.uint8, seed=seed)

    @property
    def is_np_flattenable(self) -> bool:
        return False

    def sample(self, mask: Any = None, probability: Any = None) -> tuple[Pixels, ...]:
        """Random images; masks and probabilities are not supported."""
        _refuse_masks(mask, probability)
        count = int(self.np_random.integers(self.most_samples, endpoint=True))
        return tuple(self._sample_one() for _ in range(count))

    def contains(self, x: Any) -> bool:
        return isinstance(x, (tuple, list)) and all(map(_is_image, x))

    def to_jsonable(self, sample_n: Iterable[tuple[Pixels, ...]]) -> list[Any]:
        """Samples as JSON: each image its shape and its bytes in base64."""
        return [
            [{"shape": list(i.shape), "data": base64.b64encode(i.tobytes()).decode()} for i in images]
            for images in sample_n
        ]

    def from_jsonable(self, sample_n: list[Any]) -> list[tuple[Pixels, ...]]:
        """The samples that ``to_jsonable`` wrote."""
        return [
            tuple(np.frombuffer(base64.b64decode(i["data"]), dtype=np.uint8).reshape(i["shape"]) for i in images)
            for images in sample_n
        ]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Images)

    __hash__ = None  # type: ignore[assignment]  # as other spaces

    def __repr__(self) -> str:
        return "Images()"

    def _sample_one(self) -> Pixels:
        height, width = self.np_random.integers(1, self.longest_side, size=2, endpoint=True)
        return self.np_random.integers(256, size=(height, width, 3), dtype=np.uint8)


def _is_image(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype == np.uint8 and x.ndim == 3 and x.shape[2] == 3 and x.size > 0


def _refuse_masks(mask: Any, probability: Any) -> None:
    if mask is not None or probability is not None:
        raise InvalidArgumentError("these spaces sample without mask and probability; leave both None")
