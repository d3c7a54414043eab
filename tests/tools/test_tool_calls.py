"""Every call gets an Observation: what zoom and rotate give, and what a model reads after a mistake."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PilImage

import vista_fast as vf
from vista_fast.tools import Zoom
from vista_fast.tools.regions import resolve_box
from vista_fast.tools.tool import ToolFailure
from vista_fast.types import Observation


async def call(toolbox: vf.Toolbox, tool: str, images: list[vf.Image], /, **arguments: Any) -> Observation:
    return await toolbox.call(vf.ToolCall(tool, arguments), images=images)


async def test_zoom_is_a_crop_and_a_bicubic_resize(toolbox: vf.Toolbox, image: vf.Image) -> None:
    seen = await call(toolbox, "zoom", [image], bbox_2d=[100, 50, 200, 110])
    assert seen.error is None
    expected = image.to_pil().crop((100, 50, 200, 110)).resize((373, 224), PilImage.Resampling.BICUBIC)
    np.testing.assert_array_equal(np.asarray(seen.images[0]), np.asarray(expected))
    assert seen.text == "Image 2 is the zoomed region, 373x224 pixels."


async def test_fractions_and_pixels_name_the_same_region(toolbox: vf.Toolbox, image: vf.Image) -> None:
    pixels = await call(toolbox, "zoom", [image], bbox_2d=[100, 75, 300, 225])
    fractions = await call(toolbox, "zoom", [image], bbox_2d=[0.25, 0.25, 0.75, 0.75])
    assert pixels.images[0].hash == fractions.images[0].hash


async def test_a_box_is_rounded_outward_and_clamped(toolbox: vf.Toolbox, image: vf.Image) -> None:
    rough = await call(toolbox, "zoom", [image], bbox_2d=[-50.5, -3, 99.2, 60.7])
    exact = await call(toolbox, "zoom", [image], bbox_2d=[0, 0, 100, 61])
    assert rough.images[0].hash == exact.images[0].hash


@pytest.mark.parametrize(
    ("box", "size"),
    [
        ([0, 0, 400, 300], (299, 224)),  # no: larger than min_side already
        ([0, 0, 40, 30], (299, 224)),
        ([0, 0, 400, 2], (1024, 5)),
        ([7, 7, 8, 8], (224, 224)),
    ],
)
async def test_the_size_of_a_zoom(toolbox: vf.Toolbox, image: vf.Image, box: list[int], size: tuple[int, int]) -> None:
    seen = await call(toolbox, "zoom", [image], bbox_2d=box)
    if box == [0, 0, 400, 300]:
        size = (400, 300)
    assert (seen.images[0].width, seen.images[0].height) == size


async def test_zoom_sides_are_settings(engine: vf.Engine, image: vf.Image) -> None:
    toolbox = vf.Toolbox.default(engine, ocr=None, zoom=Zoom(min_side=64, max_side=128))
    for name in ("zoom", "image_zoom_in_tool"):
        small = await call(toolbox, name, [image], bbox_2d=[0, 0, 20, 20])
        large = await call(toolbox, name, [image], bbox_2d=[0, 0, 400, 300])
        assert [(i.width, i.height) for i in (*small.images, *large.images)] == [(64, 64), (128, 96)]
    with pytest.raises(vf.errors.InvalidArgumentError, match="min_side"):
        Zoom(min_side=200, max_side=100)


async def test_rotate_turns_counter_clockwise(toolbox: vf.Toolbox, image: vf.Image) -> None:
    seen = await call(toolbox, "rotate", [image], angle=90)
    np.testing.assert_array_equal(np.asarray(seen.images[0]), np.rot90(np.asarray(image)))
    other = await call(toolbox, "image_rotate_tool", [image], angle=-270.0)
    assert other.images[0].hash == seen.images[0].hash
    assert seen.text == "Image 2 is the turned image, 300x400 pixels."


async def test_images_go_by_number_and_the_latest_is_the_default(toolbox: vf.Toolbox, image: vf.Image) -> None:
    second = (await call(toolbox, "zoom", [image], bbox_2d=[0, 0, 200, 200])).images[0]
    images = [image, second]
    for arguments, source in [({}, second), ({"target_image": 2}, second), ({"target_image": 1.0}, image)]:
        seen = await call(toolbox, "rotate", images, angle=180, **arguments)
        np.testing.assert_array_equal(np.asarray(seen.images[0]), np.rot90(np.asarray(source), 2))
        assert seen.text.startswith("Image 3 ")


WRONG_CALLS: list[tuple[str, dict[str, Any], str, str]] = [
    ("zom", {"bbox_2d": [0, 0, 9, 9]}, "E1", 'There is no tool "zom". The tools are zoom, rotate. Did you mean zoom?'),
    ("z" * 10**6, {}, "E1", "The tools are zoom, rotate."),
    ("", {}, "E1", "The tools are zoom, rotate."),
    ("zoom", {"bbox": [0, 0, 9, 9]}, "E2", 'no argument "bbox". Its arguments are bbox_2d, target_image. Did you mean'),
    ("zoom", {}, "E2", 'zoom needs the argument "bbox_2d": [left, top, right, bottom]'),
    ("zoom", {"bbox_2d": None}, "E3", "bbox_2d must be a list of 4 numbers, got null."),
    ("rotate", {"angle": 1, "angel": 2}, "E2", 'rotate has no argument "angel"'),
    ("zoom", {"bbox_2d": []}, "E3", "bbox_2d must be a list of 4 numbers, got []."),
    ("zoom", {"bbox_2d": [1, 2, 3]}, "E3", "bbox_2d must be a list of 4 numbers, got [1, 2, 3]."),
    ("zoom", {"bbox_2d": "1,2,3,4"}, "E3", 'bbox_2d must be a list of 4 numbers, got "1,2,3,4".'),
    ("zoom", {"bbox_2d": ["1", "2", "3", "4"]}, "E3", 'got ["1", "2", "3", "4"].'),
    ("zoom", {"bbox_2d": [True, 2, 30, 40]}, "E3", "a list of 4 numbers"),
    ("zoom", {"bbox_2d": [0, 0, math.nan, 5]}, "E3", "a list of 4 numbers, got [0, 0, NaN, 5]"),
    ("zoom", {"bbox_2d": [0, 0, math.inf, 5]}, "E3", "a list of 4 numbers"),
    ("zoom", {"bbox_2d": [0, 0, 10**400, 5]}, "E3", "a list of 4 numbers"),
    ("zoom", {"bbox_2d": [0, 0, [1], {}]}, "E3", "a list of 4 numbers"),
    ("zoom", {"bbox_2d": {"x": 1}}, "E3", "a list of 4 numbers"),
    ("zoom", {"bbox_2d": [10, 10, 10, 20]}, "E3", "left < right and top < bottom, got [10, 10, 10, 20]."),
    ("zoom", {"bbox_2d": [30, 10, 10, 20]}, "E3", "left < right and top < bottom"),
    ("zoom", {"bbox_2d": [500, 10, 600, 20]}, "E3", "[500, 10, 600, 20] lies outside of the image (400x300 pixels)."),
    ("zoom", {"bbox_2d": [-1e308, -5, 1, 1]}, "E3", ""),
    ("zoom", {"bbox_2d": [-5, -5, -1, -1]}, "E3", "lies outside of the image (400x300 pixels)."),
    ("zoom", {"bbox_2d": [0, 0, 9, 9], "target_image": 2}, "E3", "target_image is 2; it must be a number from 1 to 1."),
    ("zoom", {"bbox_2d": [0, 0, 9, 9], "target_image": 0}, "E3", "a whole number of at least 1, got 0."),
    ("zoom", {"bbox_2d": [0, 0, 9, 9], "target_image": 10**400}, "E3", "target_image"),
    ("zoom", {"bbox_2d": [0, 0, 9, 9], "target_image": 1.5}, "E3", "a whole number of at least 1, got 1.5."),
    ("zoom", {"bbox_2d": [0, 0, 9, 9], "target_image": "/etc/passwd"}, "E3", "a whole number of at least 1"),
    ("rotate", {"angle": 1e30}, "E3", "angle must be a number from -360 to 360, got 1e+30."),
    ("rotate", {"angle": "90"}, "E3", 'angle must be a number from -360 to 360, got "90".'),
    ("rotate", {"angle": math.nan}, "E3", "from -360 to 360, got NaN."),
    ("rotate", {}, "E2", 'rotate needs the argument "angle"'),
]


@pytest.mark.parametrize(("tool", "arguments", "kind", "words"), WRONG_CALLS)
async def test_a_wrong_call_is_an_observation_to_act_on(
    toolbox: vf.Toolbox, image: vf.Image, tool: str, arguments: dict[str, Any], kind: str, words: str
) -> None:
    seen, record = await toolbox.record(vf.ToolCall(tool, arguments), images=[image])
    if arguments.get("bbox_2d") == [-1e308, -5, 1, 1]:  # all at most 1, so the whole image up to its corner
        assert seen.error is None
        return
    assert seen.error is not None
    assert seen.error.kind == kind
    assert words in seen.text
    assert seen.text == seen.error.message
    assert len(seen.text) < 400
    assert seen.images == ()
    assert (record.outcome, record.error) == ("error", seen.error)


async def test_a_call_without_images_is_told_so(toolbox: vf.Toolbox) -> None:
    seen = await call(toolbox, "rotate", [], angle=90)
    assert seen.error is not None
    assert seen.error.kind == "E3"


NUMBERS = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**40), 10**40))


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=4, max_size=4), st.integers(1, 5000), st.integers(1, 5000))
def test_a_resolved_box_is_never_empty_and_inside(values: list[float], width: int, height: int) -> None:
    try:
        left, top, right, bottom = resolve_box("bbox_2d", values, width, height)
    except ToolFailure:
        return
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["bbox_2d", "target_image", "angle", "label", "size", ""])


@settings(deadline=None, max_examples=150)
@given(st.sampled_from(["zoom", "rotate", "image_zoom_in_tool", "crop"]), st.dictionaries(NAMES, JSON, max_size=3))
def test_any_arguments_give_an_observation(shared: vf.Toolbox, tool: str, arguments: dict[str, Any]) -> None:
    import asyncio

    picture = shared.engine.image(np.zeros((8, 8, 3), np.uint8))
    seen = asyncio.run(shared.call(vf.ToolCall(tool, arguments), images=[picture]))
    assert seen.text


@pytest.fixture(scope="module")
def shared() -> Any:
    with vf.Engine(threads=1) as engine:
        yield vf.Toolbox.default(engine, ocr=None)


def test_schemas_are_json_in_openais_format(toolbox: vf.Toolbox) -> None:
    schemas = json.loads(json.dumps(toolbox.schemas()))
    assert [schema["function"]["name"] for schema in schemas] == ["zoom", "rotate"] == list(toolbox.names)
    for schema in schemas:
        assert schema["type"] == "function"
        assert set(schema["function"]) == {"name", "description", "parameters"}
        assert set(schema["function"]["parameters"]["required"]) <= set(schema["function"]["parameters"]["properties"])
