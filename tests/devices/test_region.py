"""Boxes resolve to the pixels that the native Ops take."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vista_fast as vf
from vista_fast.devices.region import resolve_box, resolve_size
from vista_fast.errors import InvalidArgumentError

WIDTH, HEIGHT = 12, 9
# Each pixel tells where it lies.
PIXELS = np.dstack([*np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), np.zeros((HEIGHT, WIDTH))]).astype(np.uint8)

EDGES = st.floats(-20, 30) | st.integers(-3, 14) | st.sampled_from([float("nan"), float("inf")])


@pytest.fixture(scope="module")
def engine():
    with vf.Engine(threads=1) as engine:
        yield engine


@settings(max_examples=200, deadline=None)
@given(box=st.tuples(EDGES, EDGES, EDGES, EDGES))
def test_as_the_native_zoom(engine: vf.Engine, box: tuple[float, ...]) -> None:
    try:
        zoomed = np.asarray(engine.call("image.zoom", PIXELS, box=box))
    except InvalidArgumentError:
        with pytest.raises(InvalidArgumentError):
            resolve_box(box, WIDTH, HEIGHT)
        return
    left, top, right, bottom = resolve_box(box, WIDTH, HEIGHT)
    np.testing.assert_array_equal(zoomed, PIXELS[top:bottom, left:right])


def test_defaults() -> None:
    assert resolve_box(None, WIDTH, HEIGHT) == (0, 0, WIDTH, HEIGHT)
    assert resolve_size(None, (2, 3, 7, 9)) == (5, 6)


@pytest.mark.parametrize("size", [(0, 4), (4, 1 << 20), (2.5, 3), "wide", (1, 2, 3), (math.inf, 4), (math.nan, 4)])
def test_wrong_sizes_are_refused(size) -> None:
    with pytest.raises(InvalidArgumentError, match="size is"):
        resolve_size(size, (0, 0, 4, 4))


@pytest.mark.parametrize("box", ["all", (0, 0, 1, 10**400)])
def test_a_box_that_is_none_is_refused(box) -> None:
    with pytest.raises(InvalidArgumentError, match="box is"):
        resolve_box(box, WIDTH, HEIGHT)
