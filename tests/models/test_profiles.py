"""The shapes that networks are compiled for."""

from __future__ import annotations

import numpy as np
import pytest

from vista_fast.errors import InvalidArgumentError
from vista_fast.models.backend import Profile
from vista_fast.models.ocr import OcrConfig
from vista_fast.models.ocr.profiles import detection_profiles, recognition_profiles
from vista_fast.models.ocr.reader import detection_size, padded_width


def test_a_profile_covers_the_calls_that_it_is_made_of() -> None:
    calls = [{"x": (1, 3, 32, 64)}, {"x": (4, 3, 32, 64)}, {"x": (1, 3, 96, 32)}, {"x": (4, 3, 32, 64)}]
    profile = Profile.covering(calls)
    assert profile == Profile.of({"x": ((1, 3, 32, 32), (4, 3, 32, 64), (4, 3, 96, 64))})
    assert all(profile.holds(call) for call in calls)
    assert not profile.holds({"x": (5, 3, 32, 64)})
    assert not profile.holds({"x": (1, 3, 32)})
    assert not profile.holds({"y": (1, 3, 32, 64)})


def test_what_is_no_profile_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="grow from least"):
        Profile.of({"x": ((1, 3), (5, 3), (4, 3))})
    with pytest.raises(InvalidArgumentError, match="one rank"):
        Profile.of({"x": ((1,), (5, 3), (4, 3))})
    with pytest.raises(InvalidArgumentError, match="1 or more"):
        Profile.of({"x": ((0,), (1,), (1,))})
    with pytest.raises(InvalidArgumentError, match="same inputs and ranks"):
        Profile.covering([{"x": (1, 3)}, {"x": (1, 3, 4)}])
    with pytest.raises(InvalidArgumentError, match="0 calls"):
        Profile.covering([])


@pytest.mark.parametrize("config", [OcrConfig(), OcrConfig.at_side(448), OcrConfig(max_side_len=333)])
def test_every_image_lies_within_the_profiles_of_ocr(config: OcrConfig) -> None:
    random = np.random.default_rng(0)
    sizes = np.exp(random.uniform(0, np.log(20_000), (3_000, 2))).astype(int)
    found = detection_profiles(config)
    for width, height in sizes:
        across, down = detection_size(int(width), int(height), config)
        assert any(profile.holds({"x": (4, 3, down, across)}) for profile in found), (width, height, across, down)


def test_lines_of_any_plausible_shape_lie_within_the_profiles_of_ocr() -> None:
    config = OcrConfig()
    found = recognition_profiles(config)
    for width, height in ((10, 4), (300, 20), (1900, 8), (1980, 3), (3, 400), (5, 1990)):
        quad = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        padded = padded_width(2000, 2000, quad, config)
        assert any(profile.holds({"x": (8, 3, 48, padded)}) for profile in found), (width, height, padded)
