"""The parts of segmentation: prompts, masks in numbers, and the Ops over networks that need no weights."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vista_fast as vf
from vista_fast.errors import AbortedError, InvalidArgumentError, MissingExtraError, NotFoundError
from vista_fast.models.segmentation import Masks, Prompt, SegmentationConfig, facts_of, mask_at, overlay
from vista_fast.models.segmentation.model import FEATURES, network_image
from vista_fast.models.segmentation.ops import register_segmentation

SIZE = (640, 427)


def test_a_prompt_is_scaled_to_the_network() -> None:
    prompt = Prompt.of(SIZE, [(320, 0), (640, 427)], [1, 0], (64, 42.7, 128, 85.4))
    coordinates, labels = prompt.network_input(SIZE)
    np.testing.assert_allclose(coordinates, [(102.4, 102.4), (204.8, 204.8), (512, 0), (1024, 1024)], rtol=1e-6)
    assert labels.tolist() == [2, 3, 1, 0]
    assert (coordinates.dtype, labels.dtype, prompt.length) == (np.float32, np.float32, 4)


def test_points_without_labels_lie_on_the_object() -> None:
    assert Prompt.of(SIZE, [(1, 2), (3, 4)]).labels == (1, 1)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({}, "nothing to segment by"),
        ({"points": []}, "nothing to segment by"),
        ({"points": [], "labels": [1]}, "nothing to segment by"),
        ({"points": [(641, 5)]}, r"point \[641.0, 5.0\] lies outside of the image \(640x427 pixels\)"),
        ({"points": [(-1, 5)]}, "lies outside"),
        ({"points": [(float("nan"), 5)]}, "finite"),
        ({"points": [(1, 2, 3)]}, r"a point must be \[x, y\]"),
        ({"points": ["ab"]}, "a point must be"),
        ({"points": [7]}, "a point must be"),
        ({"points": 7}, r"points must be a list of \[x, y\], got 7"),
        ({"points": [(10**400, 1)]}, "a point must be .* no float holds"),
        ({"points": [(1, 2)], "labels": 3}, "labels must be one 1"),
        ({"box": (0, 0, 10**400, 5)}, "the box must be"),
        ({"points": [(1, 2)], "labels": [2]}, "labels must be one 1"),
        ({"points": [(1, 2)], "labels": [1, 1]}, "for each of the 1 points, got"),
        ({"points": [(1, 2)], "labels": [True, "on"]}, "labels must be"),
        ({"box": (5, 5, 5, 9)}, "left < right"),
        ({"box": (9, 9, 1, 1)}, "left < right"),
        ({"box": (0, 0, 641, 5)}, "inside the image"),
        ({"box": (0, 0, 1)}, "4 finite numbers"),
    ],
)
def test_what_is_no_prompt_is_a_typed_error(given_: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        Prompt.of(SIZE, **given_)


def test_the_networks_input_is_normalised_over_the_stretched_image() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    image[..., 1] = 255
    prepared = network_image(image)
    assert (prepared.shape, prepared.dtype) == ((1, 3, 1024, 1024), np.float32)
    expected = [-0.485 / 0.229, (1 - 0.456) / 0.224, -0.406 / 0.225]
    np.testing.assert_allclose(prepared[0].mean(axis=(1, 2)), expected, rtol=1e-5)


@settings(deadline=None, max_examples=50)
@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
    share=st.sampled_from([0, 0.1, 1]),
)
def test_facts_count_the_pixels(width: int, height: int, seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < share
    facts = facts_of(mask)
    rows, columns = np.nonzero(mask)
    assert facts.pixel_count == len(rows)
    assert facts.coverage_percent == pytest.approx(100 * mask.mean())
    if len(rows):
        assert facts.bbox == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert facts.centroid == pytest.approx((columns.mean(), rows.mean()))
    else:
        assert (facts.bbox, facts.centroid) == (None, None)


def test_a_mask_covers_the_whole_image_at_any_size() -> None:
    logits = np.full((256, 256), -5, np.float16)
    logits[:, 128:] = 5
    for width, height in ((640, 427), (100, 7), (1, 1), (256, 256), (3000, 20)):
        mask = mask_at(logits, (width, height))
        assert mask.shape == (height, width)
        if width > 1:
            assert mask.mean() == pytest.approx(0.5, abs=0.02)


def test_an_overlay_tints_the_mask_alone() -> None:
    image = np.full((4, 6, 3), 100, np.uint8)
    mask = np.zeros((4, 6), bool)
    mask[1, 2] = True
    tinted = overlay(image, mask)
    assert tinted[1, 2].tolist() == [65, 122, 178]
    assert np.array_equal(tinted[~mask], image[~mask])
    assert (image == 100).all()


class Networks:
    """Stands for the networks: embeddings of one number each, and masks whose logits are the image's first value."""

    def __init__(self, *_: object, **__: object) -> None:
        self.encoded: list[int] = []

    def encode(self, image: np.ndarray) -> dict[str, np.ndarray]:
        self.encoded.append(int(image[0, 0, 0]))
        return {name: np.full((1, 1), image[0, 0, 0], np.float32) for name in FEATURES}

    def decode(self, embedding: dict[str, np.ndarray], size: tuple[int, int], prompts: Sequence[Prompt]) -> list[Masks]:
        assert len({prompt.length for prompt in prompts}) == 1
        value = embedding["image_embed"].item()
        return [Masks(np.full((3, 256, 256), value, np.float16), np.zeros(3, np.float32)) for _ in prompts]


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> Networks:
    networks = Networks()
    monkeypatch.setattr("vista_fast.models.segmentation.ops.SegmentationModel", lambda *_, **__: networks)
    for part in ("encoder_weights", "decoder_weights"):
        monkeypatch.setattr(f"vista_fast.models.segmentation.ops.{part}", lambda: None)
    return networks


@pytest.fixture
def engine(networks: Networks) -> Iterator[vf.Engine]:
    """Without a cache, so that it holds no embedding by itself."""
    with vf.Engine(threads=1, cache_bytes=0) as engine:
        register_segmentation(engine, SegmentationConfig())
        yield engine


def flat(engine: vf.Engine, value: int) -> vf.Image:
    return engine.image(np.full((8, 8, 3), value, np.uint8))


def test_an_embedding_that_somebody_holds_is_not_made_again(engine: vf.Engine, networks: Networks) -> None:
    one, other = flat(engine, 1), flat(engine, 2)
    held = engine.call("segment.encode", one)
    for image, value in ((one, 1), (other, 2), (one, 1)):
        assert engine.call("segment.decode", image, points=[(3, 3)])["logits"].max() == value
    assert networks.encoded == [1, 2]
    del held
    assert engine.call("segment.decode", one, points=[(4, 4)])["logits"].max() == 1
    assert networks.encoded == [1, 2, 1]


def test_prompts_of_other_lengths_and_images_run_apart(engine: vf.Engine) -> None:
    images = [flat(engine, value) for value in (1, 2)]
    kept = [engine.call("segment.encode", image) for image in images]
    prompts: list[dict[str, Any]] = [{"points": [(1, 1)]}, {"points": [(1, 1), (2, 2)]}, {"box": (1, 1, 4, 4)}]
    calls = [{"image": image, **prompt} for prompt in prompts for image in images]
    results = engine.submit_many("segment.decode", calls).result()
    assert [result["logits"].max() for result in results] == [1, 2] * 3
    assert len(kept) == 2


def test_a_wrong_prompt_fails_alone(engine: vf.Engine) -> None:
    image = flat(engine, 5)
    calls = [{"image": image, "points": [(1, 1)]}, {"image": image, "points": [(99, 1)]}, {"image": image}]
    good, outside, empty = engine.submit_many("segment.decode", calls).result(return_exceptions=True)
    assert good["logits"].max() == 5
    assert isinstance(outside, InvalidArgumentError)
    assert isinstance(empty, InvalidArgumentError)
    with pytest.raises(InvalidArgumentError, match=r"logits must be \[n, 256, 256\]"):
        engine.call("segment.render", image, logits=np.zeros((2, 5, 5), np.float16))


@pytest.mark.parametrize("op", ["segment.encode", "segment.decode", "segment.render"])
def test_an_argument_that_an_op_does_not_know_is_refused(engine: vf.Engine, op: str) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"{op} has no argument 'point'; it takes image"):
        engine.call(op, flat(engine, 7), point=(1, 1))
    with pytest.raises(InvalidArgumentError, match=f"the image of {op} is a NoneType"):
        engine.call(op)


def test_an_engine_segments_one_way_only(engine: vf.Engine) -> None:
    register_segmentation(engine, SegmentationConfig())
    with pytest.raises(InvalidArgumentError, match="this engine already segments images with"):
        register_segmentation(engine, SegmentationConfig(threads=1))


@pytest.mark.parametrize("wrong", [{"threads": 0}, {"timeout": 0.0}, {"timeout": float("nan")}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match="must be"):
        SegmentationConfig(**wrong)


def test_networks_that_can_not_be_loaded_lose_the_call_and_not_the_op(
    networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = threading.Event()
    failing.set()

    def load(*_: object, **__: object) -> Networks:
        if failing.is_set():
            raise RuntimeError("cannot allocate memory")
        return networks

    monkeypatch.setattr("vista_fast.models.segmentation.ops.SegmentationModel", load)
    with vf.Engine(threads=1) as engine:
        register_segmentation(engine, SegmentationConfig())
        with pytest.raises(AbortedError, match=r"segmentation could not be loaded .* memory"):
            engine.call("segment.encode", flat(engine, 3))
        failing.clear()
        assert engine.call("segment.encode", flat(engine, 3))["image_embed"].item() == 3


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vista_fast.models.backend.registry.find_spec", lambda _: None)
    with vf.Engine(threads=1) as engine, pytest.raises(MissingExtraError, match=r"vista-fast\[ocr\]"):
        vf.Toolbox.default(engine, ocr=None, segmentation=SegmentationConfig())


def test_missing_weights_say_how_to_get_them(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path))
    with vf.Engine(threads=1) as engine:
        with pytest.raises(NotFoundError, match="vista-fast weights get sam2-hiera-tiny-encoder"):
            vf.Toolbox.default(engine, ocr=None, segmentation=SegmentationConfig())
        assert "segment.encode" not in engine.ops
