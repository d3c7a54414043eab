"""Scenes of four coloured objects, one per quadrant, each with a small printed tag that only a zoom makes readable."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
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

_QUADRANT = SIDE // 2
_TEMPLATES = (
    "What is the number on the tag of the {}?",
    "Which number does the tag of the {} show?",
    "Read the tag of the {}.",
)


@dataclass(frozen=True, slots=True)
class Thing:
    """An object: its centre and radius in pixels of the picture, and the corner of its tag relative to its centre."""

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

    def question(self, ask: Ask, rng: random.Random) -> Question:
        thing = self.things[ask.region]
        noun = {
            "object": f"{thing.colour} {thing.shape}",
            "colour": f"{thing.colour} object",
            "shape": thing.shape,
        }[ask.kind]
        return Question(
            rng.choice(_TEMPLATES).format(noun), f"{thing.colour} {thing.shape} {tuple(REGIONS)[ask.region]}"
        )

    def paint(self) -> PIL.Image.Image:
        try:
            from PIL import Image, ImageDraw
        except ImportError as error:
            raise missing_extra(error) from error
        smooth = 2
        image = Image.new("RGB", (smooth * SIDE, smooth * SIDE), self.ground)
        draw = ImageDraw.Draw(image)
        for thing in self.things:
            _draw_shadow(draw, thing, smooth, self.ground)
        for thing in self.things:
            draw.polygon(_outline(thing, smooth), fill=COLOURS[thing.colour])
        image = image.resize((SIDE, SIDE), Image.Resampling.BOX)
        draw = ImageDraw.Draw(image)
        for thing, number in zip(self.things, self.numbers, strict=True):
            _draw_tag(draw, thing, str(number))
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
    radius = rng.randint(68, 82)
    margin = _QUADRANT // 2 - radius - 6
    x = _QUADRANT * (quadrant % 2) + _QUADRANT // 2 + rng.randint(-margin, margin)
    y = _QUADRANT * (quadrant // 2) + _QUADRANT // 2 + rng.randint(-margin, margin)
    return Thing(colour, shape, (x, y), radius, (rng.randint(-8, 8), rng.randint(-8, 8)))


def _outline(thing: Thing, scale: int) -> list[tuple[float, float]]:
    """The corners of the shape, in pixels times ``scale``."""
    corners = {"circle": 72, "square": 4, "triangle": 3, "star": 10}[thing.shape]
    turn = math.pi / 4 if thing.shape == "square" else 0.0
    points = []
    for index in range(corners):
        angle = turn + 2 * math.pi * index / corners
        reach = thing.radius * (0.55 if thing.shape == "star" and index % 2 else 1.0)
        points.append(
            (scale * (thing.centre[0] + reach * math.sin(angle)), scale * (thing.centre[1] - reach * math.cos(angle)))
        )
    return points


def _draw_shadow(draw: PIL.ImageDraw.ImageDraw, thing: Thing, scale: int, ground: tuple[int, int, int]) -> None:
    darker = tuple(level - 28 for level in ground)
    draw.polygon([(x + 5 * scale, y + 6 * scale) for x, y in _outline(thing, scale)], fill=darker)


def _draw_tag(draw: PIL.ImageDraw.ImageDraw, thing: Thing, text: str) -> None:
    x, y = thing.centre[0] + thing.tag[0], thing.centre[1] + thing.tag[1]
    draw.rectangle((x - 17, y - 12, x + 17, y + 12), fill="#ffffff")
    draw.text((x, y), text, font=font(8), fill="#000000", anchor="mm")
