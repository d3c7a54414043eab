"""What the three families share: the plan of a picture, its questions, its regions and its colours."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeAlias

from vista_fast.errors import MissingExtraError

if TYPE_CHECKING:
    import PIL.Image
    import PIL.ImageFont

SIDE = 448
"""Width and height of every picture, in pixels."""

OCR_SIDE = SIDE
"""The side, in pixels, at which an OCR is meant to look at a picture: enough for charts, documents and one quadrant of
a scene, not for a whole scene."""

COUNT = 4
"""Candidate regions of a picture, each with one number in it."""

COLOURS: Mapping[str, str] = {
    "red": "#d62728",
    "blue": "#1f6fc4",
    "green": "#2ca02c",
    "yellow": "#f5cc27",
    "purple": "#8e3fb0",
    "orange": "#ff7f0e",
}

ORDINALS = ("first", "second", "third", "fourth")

Box: TypeAlias = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Ask:
    """What a question of a picture is to be: its kind, and the index of the region that holds its answer."""

    kind: str
    region: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question as the policy reads it, and the true phrase (its region's name last) that says where to look."""

    text: str
    rationale: str


class Composition(Protocol):
    """All facts of a picture before it is painted."""

    @property
    def numbers(self) -> Sequence[int]:
        """The number that each region holds, in the order of the regions."""

    @property
    def contents(self) -> Sequence[str]:
        """What each region shows at first sight, in words: "red circle", "blue bar tallest"."""

    def aspect(self, ask: Ask) -> Sequence[str]:
        """What to notice of each region to answer an Ask: "red", "tallest". Each ends in the word that decides."""

    def question(self, ask: Ask, rng: random.Random) -> Question:
        """The question for one Ask of the plan that this was composed for."""

    def paint(self) -> PIL.Image.Image:
        """The picture, RGB, ``SIDE`` by ``SIDE``."""


class Family(Protocol):
    """A family's module: its kinds of questions, its regions, and ``compose``."""

    KINDS: tuple[str, ...]
    REGIONS: Mapping[str, Box]
    NEEDS_ZOOM: bool

    @staticmethod
    def compose(plan: Sequence[Ask], rng: random.Random) -> Composition:
        """A random composition that has an answer to every Ask of the plan."""


@lru_cache(maxsize=16)
def font(size: int, *, bold: bool = False) -> PIL.ImageFont.FreeTypeFont:
    """DejaVu Sans, as matplotlib ships it, ``size`` in pixels."""
    try:
        import matplotlib
        from PIL import ImageFont
    except ImportError as error:
        raise missing_extra(error) from error
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"DejaVuSans{'-Bold' if bold else ''}.ttf"), size)


def missing_extra(error: ImportError) -> MissingExtraError:
    return MissingExtraError(
        f"the mini tasks are drawn with {error.name}, which is not installed: pip install 'vista-fast[tasks]'"
    )


def two_digits(rng: random.Random, count: int = COUNT) -> list[int]:
    """Distinct integers of two digits."""
    return rng.sample(range(10, 100), count)
