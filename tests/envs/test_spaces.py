"""The spaces: what they contain, what they sample, and that Gymnasium can batch them."""

import json

import numpy as np
import pytest
from gymnasium.vector.utils import batch_space
from hypothesis import given
from hypothesis import strategies as st

from vista_fast.envs.spaces import Images, UnicodeText
from vista_fast.errors import InvalidArgumentError


@given(st.text())
def test_text_contains_every_string(text: str) -> None:
    assert text in UnicodeText()


@pytest.mark.parametrize("other", [b"bytes", None, 7, ["text"]])
def test_text_contains_nothing_else(other: object) -> None:
    assert other not in UnicodeText()


def test_text_contains_long_strings() -> None:
    assert "数" * 1_000_000 in UnicodeText()


@pytest.mark.parametrize(
    ("images", "inside"),
    [
        ((), True),
        ((np.zeros((1, 1, 3), np.uint8),), True),
        ([np.zeros((3, 2, 3), np.uint8), np.zeros((900, 7, 3), np.uint8)], True),
        (np.zeros((3, 2, 3), np.uint8), False),
        ((np.zeros((3, 2, 4), np.uint8),), False),
        ((np.zeros((3, 2), np.uint8),), False),
        ((np.zeros((3, 2, 3), np.float32),), False),
        ((np.zeros((0, 2, 3), np.uint8),), False),
        ((None,), False),
        ("text", False),
    ],
)
def test_images_contain_rgb_images_of_any_size(images: object, inside: bool) -> None:
    assert (images in Images()) is inside


@pytest.mark.parametrize("space", [UnicodeText(), Images()], ids=repr)
def test_samples_are_inside_and_differ(space: UnicodeText | Images) -> None:
    space.seed(3)
    samples = [space.sample() for _ in range(200)]
    assert all(sample in space for sample in samples)
    assert len({repr(sample) for sample in samples}) > 100
    assert any(len(sample) == 0 for sample in samples)


def test_text_samples_are_unicode_that_can_be_encoded() -> None:
    space = UnicodeText(longest_sample=1000, seed=0)
    text = "".join(space.sample() for _ in range(50))
    assert text.encode("utf-8").decode("utf-8") == text
    assert any(ord(character) > 0xFFFF for character in text)
    assert any(character.isascii() for character in text)


@pytest.mark.parametrize("make", [UnicodeText, Images])
def test_a_seed_gives_the_same_samples(make: type[UnicodeText] | type[Images]) -> None:
    one, two, other = make(), make(seed=11), make(seed=12)
    one.seed(11)
    samples = [repr([space.sample() for _ in range(20)]) for space in (one, two, other)]
    assert samples[0] == samples[1] != samples[2]


def test_equality() -> None:
    assert UnicodeText() == UnicodeText(longest_sample=7, seed=1)
    assert Images() == Images(most_samples=1)
    assert UnicodeText() != Images()
    assert Images() != UnicodeText()
    with pytest.raises(TypeError):
        hash(Images())


@pytest.mark.parametrize("space", [UnicodeText(seed=1), Images(seed=1)], ids=repr)
def test_samples_travel_as_json(space: UnicodeText | Images) -> None:
    samples = [space.sample() for _ in range(10)]
    back = space.from_jsonable(json.loads(json.dumps(space.to_jsonable(samples))))
    for sample, same in zip(samples, back, strict=True):
        assert len(sample) == len(same)
        assert all(np.array_equal(a, b) for a, b in zip(sample, same, strict=True))


def test_gymnasium_batches_them() -> None:
    for space in (UnicodeText(), Images()):
        batched = batch_space(space, 3)
        assert batched.sample() in batched


def test_masks_are_refused() -> None:
    for space in (UnicodeText(), Images()):
        with pytest.raises(InvalidArgumentError, match="mask"):
            space.sample(mask=np.ones(3, np.int8))


def test_arguments_that_leave_nothing_to_sample_are_refused() -> None:
    with pytest.raises(InvalidArgumentError):
        UnicodeText(longest_sample=-1)
    with pytest.raises(InvalidArgumentError):
        Images(longest_side=0)
