"""The suite as a Dataset: which question is asked of which picture, which split a picture belongs to, the cache."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from itertools import permutations
from typing import TYPE_CHECKING, cast

from vista_fast.errors import InvalidArgumentError
from vista_fast.tasks.mini.picture import COUNT, Ask, Composition, Family
from vista_fast.tasks.verifiers import same_number
from vista_fast.types import Task

if TYPE_CHECKING:
    import PIL.Image

FAMILIES = ("charts", "documents", "scenes")

SPLITS = ("train", "sft", "test")


@dataclass(frozen=True, slots=True)
class _Picture:
    png: bytes
    composition: Composition


class MiniDataset:
    """``size`` Tasks of one split, balanced over families, kinds of question and target regions.

    Task ``i`` depends on (seed, split, i) and the arguments below, never on what was asked for before. Splits never
    share a picture, whatever their seeds: a picture's numbers decide the one split it may appear in.

    Args:
        split: "train", "sft" or "test".
        size: number of Tasks.
        seed: any integer.
        families: which of "charts", "documents", "scenes" to draw from.
        kinds: which kinds of question to ask; all of a family's by default. A family without any is left out.
        questions_per_image: that many questions follow each other on one picture, each of another kind and region;
            at most the number of kinds of each family (3 with all kinds).
    """

    name = "mini"

    def __init__(
        self,
        split: str = "train",
        *,
        size: int = 1000,
        seed: int = 0,
        families: Sequence[str] = FAMILIES,
        kinds: Sequence[str] | None = None,
        questions_per_image: int = 1,
    ) -> None:
        if split not in SPLITS:
            raise InvalidArgumentError(f"split {split!r} is unknown: choose one of {', '.join(SPLITS)}")
        if size < 1:
            raise InvalidArgumentError(f"size {size} holds no task: give a positive number")
        self.split = split
        self.seed = seed
        self.questions_per_image = questions_per_image
        self._size = size
        self._kinds = _kinds_by_family(families, kinds)
        most = min(map(len, self._kinds.values()))
        if not 1 <= questions_per_image <= most:
            raise InvalidArgumentError(
                f"questions_per_image {questions_per_image} is not in 1 to {most}, the kinds of question of each family"
            )
        self._picture = lru_cache(maxsize=None)(self._draw)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> Task:
        if not -self._size <= index < self._size:
            raise IndexError(f"task {index} of a dataset of {self._size}")
        index %= self._size
        number, slot = divmod(index, self.questions_per_image)
        name = self._family(number)
        family = _family_module(name)
        ask = self._plan(number)[slot]
        picture = self._picture(number)
        rng = random.Random(f"{self._stream(number)}/{slot}")
        question = picture.composition.question(ask, rng)
        return Task(
            id=f"mini/{self.split}/{self.seed}/{index}",
            dataset=self.name,
            family=name,
            question=question.text,
            images=(picture.png,),
            truth=str(picture.composition.numbers[ask.region]),
            verifier=same_number,
            metadata={
                "rationale": question.rationale,
                "regions": {region: list(box) for region, box in family.REGIONS.items()},
                "region": tuple(family.REGIONS)[ask.region],
                "needs_zoom": family.NEEDS_ZOOM,
                "contents": dict(zip(family.REGIONS, picture.composition.contents, strict=True)),
                "aspect": dict(zip(family.REGIONS, picture.composition.aspect(ask), strict=True)),
                "kind": ask.kind,
            },
        )

    def _family(self, number: int) -> str:
        names = tuple(self._kinds)
        return names[number % len(names)]

    def _stream(self, number: int) -> str:
        return f"mini/{self.seed}/{self.split}/{number}"

    def _plan(self, number: int) -> list[Ask]:
        """The questions of a picture: kinds take turns, and so do the orders of the four regions."""
        kinds = self._kinds[self._family(number)]
        turn = number // len(self._kinds)
        cycle, step = divmod(turn, len(_ORDERS))
        orders = list(_ORDERS)
        random.Random(f"{self.seed}/{self.split}/{self._family(number)}").shuffle(orders)
        regions = orders[step]
        return [
            Ask(kinds[(turn + cycle + slot) % len(kinds)], regions[slot]) for slot in range(self.questions_per_image)
        ]

    def _draw(self, number: int) -> _Picture:
        name = self._family(number)
        plan = self._plan(number)
        rng = random.Random(self._stream(number))
        while True:
            composition = _family_module(name).compose(plan, rng)
            if _split_of(name, composition.numbers) == self.split:
                return _Picture(_png(composition.paint()), composition)


load = MiniDataset
"""The suite under the name that ``vista_fast.tasks.load`` calls."""

_ORDERS = tuple(permutations(range(COUNT)))


def _kinds_by_family(families: Sequence[str], kinds: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    unknown = [name for name in families if name not in FAMILIES]
    if unknown:
        raise InvalidArgumentError(f"family {unknown[0]!r} is unknown: choose from {', '.join(FAMILIES)}")
    every = {name: _family_module(name).KINDS for name in families}
    chosen = {name: tuple(kind for kind in own if kinds is None or kind in kinds) for name, own in every.items()}
    missing = set(kinds or ()) - {kind for own in every.values() for kind in own}
    if missing or not any(chosen.values()):
        offered = ", ".join(sorted({kind for own in every.values() for kind in own}))
        raise InvalidArgumentError(f"no family asks questions of kind {sorted(missing)}: choose from {offered}")
    return {name: own for name, own in chosen.items() if own}


def _family_module(name: str) -> Family:
    return cast(Family, import_module(f"vista_fast.tasks.mini.{name}"))


def _split_of(family: str, numbers: Sequence[int]) -> str:
    """The split that owns all pictures with these numbers: 8 of 16 shares are train's, 4 sft's, 4 test's."""
    share = hashlib.sha256(f"{family}:{numbers!r}".encode()).digest()[0] % 16
    return "train" if share < 8 else "sft" if share < 12 else "test"


def _png(image: PIL.Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
