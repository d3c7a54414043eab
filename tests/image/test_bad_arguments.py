"""Arguments that can't be used give a typed error that names the argument, its value and the remedy."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pictures import noise

import vista_fast as vf
from vista_fast.errors import InvalidArgumentError, NotFoundError, ResourceExhaustedError

BOXES = [
    ((5, 5, 5, 9), "empty or reversed"),
    ((9, 5, 5, 9), "empty or reversed"),
    ((60, 0, 90, 9), "outside"),
    ((-9, -9, -1, -1), "outside"),
    ((math.nan, 0, 5, 5), "finite|NaN|nan"),
    ((0, 0, math.inf, 5), "finite"),
    (("1", "2", "3", "4"), r"\['1', '2', '3', '4'\]; give four numbers"),
    ("1,2,3,4", "'1,2,3,4'; give four numbers"),
    ((1, 2, 3), r"\[1, 2, 3\]; give four numbers"),
    ((1, 2, 3, 4, 5), "give four numbers"),
    (7, "box is 7; give four numbers"),
    ({"left": 1}, "give four numbers"),
    ((True, 0, 5, 5), "give four numbers"),
]


@pytest.mark.parametrize(("box", "message"), BOXES)
@pytest.mark.parametrize("op", ["image.zoom", "image.preprocess"])
def test_boxes(engine: vf.Engine, op: str, box: object, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        engine.call(op, vf.Image.from_array(noise(40, 50, 1)), box=box)


@pytest.mark.parametrize("size", [(0, 5), (-1, 5), (3,), 3, "3x3", (1.5, 2), (1 << 40, 1), None])
def test_sizes(engine: vf.Engine, size: object) -> None:
    with pytest.raises(InvalidArgumentError, match="size"):
        engine.call("image.resize", vf.Image.from_array(noise(4, 5, 1)), size=size)


def test_results_too_large(engine: vf.Engine) -> None:
    with pytest.raises(ResourceExhaustedError, match="over the limit"):
        engine.call("image.resize", vf.Image.from_array(noise(4, 5, 1)), size=(50_000, 50_000))


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (None, InvalidArgumentError, "image is missing|image is None"),
        (3, InvalidArgumentError, "an image source is of type int"),
        ("picture.png", NotFoundError, "no image file 'picture.png'"),
        (b"bytes", InvalidArgumentError, "no JPEG, PNG or WebP"),
        ([1, 2], InvalidArgumentError, "an image source is of type list"),
    ],
)
def test_images(engine: vf.Engine, image: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        engine.call("image.zoom", image=image)


def test_unknown_names(engine: vf.Engine) -> None:
    image = vf.Image.from_array(noise(4, 5, 1))
    with pytest.raises(InvalidArgumentError, match="no argument 'colour'; it takes image, boxes, color, width"):
        engine.call("image.draw_boxes", image, boxes=[], colour="#ffffff")
    with pytest.raises(InvalidArgumentError, match="'sinc'; use one of 'nearest'"):
        engine.call("image.zoom", image, filter="sinc")


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 99)
    | st.integers()
    | st.floats()
    | st.text(max_size=9)
    | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=9,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(op=st.sampled_from(["image.zoom", "image.rotate", "image.draw_boxes", "image.encode"]), data=st.data())
def test_any_value(engine: vf.Engine, op: str, data: st.DataObject) -> None:
    names = {
        "image.zoom": ["box", "filter"],
        "image.rotate": ["angle", "filter", "expand", "fill"],
        "image.draw_boxes": ["boxes", "color", "width"],
        "image.encode": ["format", "quality", "subsampling", "level"],
    }[op]
    arguments = {name: data.draw(ANYTHING, label=name) for name in names if data.draw(st.booleans())}
    with contextlib.suppress(InvalidArgumentError, ResourceExhaustedError):
        engine.call(op, vf.Image.from_array(noise(9, 8, 1)), **arguments)
