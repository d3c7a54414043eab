"""Scenes of four coloured objects, one per quadrant, each with a small printed tag that only a zoom makes readable.

A scene has twice the side of the other pictures, so that an OCR which looks at pictures at ``SIDE`` pixels finds no
text in it, while it reads a quadrant as it is. The objects are striped because text detection takes plain ones for
letters.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from vista_fast.tasks.mini.picture import COLOURS, COUNT, SIDE, Ask, Box, Question, font, missing_extra, two_digits

if TYPE_CHECKING:
    import PIL.Image
    import PIL.ImageDraw

KINDS = ("object", "colour", "shape")
REGIONS: dict[str, Box] = {
    "top left": (0, 0, 0.5, 0.5),
    "top right": (0.5, 0, 1, 0.5),
    "bottom left": (0, 0.5, 0.5, 1),
    "bottom right": (0.5, 0.5, 1, 1),
}
NEEDS_ZOOM = True

SHAPES = ("circle", "square", "triangle", "star")

_QUADRANT = SIDE
_TEMPLATES = (
    "What is the number on the tag of the {}?",
    "Which number does the tag of the {} show?",
    "Read the tag of the {}.",
)


@dataclass(frozen=True, slots=True)
class Thing:
    """An object and its tag, in pixels of the picture: centre and radius, centre of the tag."""

    colour: str
    shape: str
    centre: tuple[int, int]
    radius: int
    tag: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Scene:
    """Facts of a scene; ``things`` and ``numbers`` run over the quadrants."""

    things: tuple[Thing, ...]
    numbers: tuple[int, ...]
    ground: tuple[int, int, int]

    @property
    def contents(self) -> tuple[str, ...]:
        return tuple(f"{thing.colour} {thing.shape}" for thing in self.things)

    def aspect(self, ask: Ask) -> tuple[str, ...]:
        if ask.kind == "shape":
            return tuple(thing.shape for thing in self.things)
        if ask.kind == "colour":
            return tuple(thing.colour for thing in self.things)
        # The shape of what has another colour does not matter.
        wanted = self.things[ask.region].colour
        return tuple(
            f"{thing.colour} {thing.shape}" if thing.colour == wanted else thing.colour for thing in self.things
        )

    def question(self, ask: Ask, rng: random.Random) -> Question:
        thing = self.things[ask.region]
        noun = {
            "object": f"{thing.colour} {thing.shape}",
            "colour": f"{thing.colour} object",
            "shape": thing.shape,
        }[ask.kind]
        name = tuple(REGIONS)[ask.region]
        return Question(rng.choice(_TEMPLATES).format(noun), f"{thing.colour} {thing.shape} {name}")

    def paint(self) -> PIL.Image.Image:
        try:
            from PIL import Image, ImageDraw
        except ImportError as error:
            raise missing_extra(error) from error
        image = Image.new("RGB", (2 * _QUADRANT, 2 * _QUADRANT), self.ground)
        draw = ImageDraw.Draw(image)
        shadow = tuple(level - 26 for level in self.ground)
        paper = tuple(min(255, level + 10) for level in self.ground)
        for thing, number in zip(self.things, self.numbers, strict=True):
            draw.polygon([(x + 10, y + 12) for x, y in _outline(thing)], fill=shadow)
            draw.line((thing.centre, thing.tag), fill=shadow, width=2)
            _paint_thing(image, thing)
            x, y = thing.tag
            draw.rectangle((x - 16, y - 11, x + 16, y + 11), fill=paper)
            draw.text((x, y), str(number), font=font(10), fill="#000000", anchor="mm")
        return image


def compose(plan: Sequence[Ask], rng: random.Random) -> Scene:
    """Four objects: one that shares its colour with a second and its shape with a third, and a fourth on its own.

    So the first is only told by both, the second by its shape, the third by its colour, the fourth by either.
    """
    first, second, third = rng.sample(list(COLOURS), 3)
    x, y, z = rng.sample(SHAPES, 3)
    looks = {"object": (first, x), "shape": (first, y), "colour": (second, x), "any": (third, z)}
    roles = _roles(plan, rng)
    things = tuple(_place(quadrant, *looks[role], rng) for quadrant, role in enumerate(roles))
    shade = rng.randint(222, 242)
    ground = (shade, shade - rng.randint(0, 6), shade - rng.randint(0, 14))
    return Scene(things, tuple(two_digits(rng)), ground)


def _roles(plan: Sequence[Ask], rng: random.Random) -> list[str]:
    """For each quadrant which of the four looks its object has."""
    roles = {ask.region: ask.kind for ask in plan}
    free = [role for role in (*KINDS, "any") if role not in roles.values()]
    rng.shuffle(free)
    return [roles[quadrant] if quadrant in roles else free.pop() for quadrant in range(COUNT)]


def _place(quadrant: int, colour: str, shape: str, rng: random.Random) -> Thing:
    radius = rng.randint(128, 150)
    x = _QUADRANT * (quadrant % 2) + _QUADRANT // 2 + rng.randint(-50, 50)
    y = _QUADRANT * (quadrant // 2) + 200 + rng.randint(-28, 28)
    foot = {"circle": 1.0, "square": 0.71, "triangle": 0.5, "star": 0.81}[shape]
    tag = (x + rng.randint(-24, 24), y + round(foot * radius) + rng.randint(28, 38))
    return Thing(colour, shape, (x, y), radius, tag)


def _outline(thing: Thing) -> list[tuple[float, float]]:
    """The corners of the shape, in pixels of the picture."""
    corners = {"circle": 72, "square": 4, "triangle": 3, "star": 10}[thing.shape]
    turn = math.pi / 4 if thing.shape == "square" else 0.0
    points = []
    for index in range(corners):
        angle = turn + 2 * math.pi * index / corners
        reach = thing.radius * (0.55 if thing.shape == "star" and index % 2 else 1.0)
        points.append((thing.centre[0] + reach * math.sin(angle), thing.centre[1] - reach * math.cos(angle)))
    return points


def _paint_thing(image: PIL.Image.Image, thing: Thing) -> None:
    from PIL import Image, ImageDraw

    left, top = thing.centre[0] - thing.radius, thing.centre[1] - thing.radius
    cloth = _cloth(thing.colour)
    mask = Image.new("1", cloth.size)
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in _outline(thing)], fill=1)
    image.paste(cloth, (left, top), mask)


@lru_cache(maxsize=len(COLOURS))
def _cloth(colour: str) -> PIL.Image.Image:
    """A square with diagonal stripes of the colour and of a lighter tint, large enough for any object."""
    from PIL import Image, ImageColor, ImageDraw

    side = 301
    tint = tuple(round(level + 0.3 * (255 - level)) for level in ImageColor.getrgb(COLOURS[colour])[:3])
    cloth = Image.new("RGB", (side, side), COLOURS[colour])
    draw = ImageDraw.Draw(cloth)
    for x in range(-side, side, 36):
        draw.line((x, 0, x + side, side), fill=tint, width=14)
    return cloth
