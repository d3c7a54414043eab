"""The ground tool over the engine: its JSON, its picture, its failures, with either model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PilImage
from sklearn.datasets import load_sample_images
from small_grounding_dino import save_small_model

import vista_fast as vf
from vista_fast.errors import InvalidArgumentError
from vista_fast.models.grounding import GroundingConfig
from vista_fast.models.grounding.coco import GRAPH, WEIGHT
from vista_fast.models.weights import fetch_weight
from vista_fast.tools import Ground, GroundingDinoTool


@pytest.fixture(scope="module")
def closed() -> Iterator[vf.Toolbox]:
    """With the closed vocabulary, one for a whole module."""
    fetch_weight(GRAPH)
    fetch_weight(WEIGHT)
    with vf.Engine(threads=2) as engine:
        yield vf.Toolbox.default(engine, ocr=None, grounding=GroundingConfig(model="coco"))


@pytest.fixture(scope="module")
def open_words(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vf.Toolbox]:
    """With a small Grounding DINO of random weights; its answers are numbers of no meaning."""
    folder = save_small_model(tmp_path_factory.mktemp("models") / "grounding-dino-small")
    with vf.Engine(threads=2) as engine:
        yield vf.Toolbox.default(engine, ocr=None, grounding=GroundingConfig(model=folder, backend="torch"))


@pytest.fixture(scope="module")
def astronaut() -> np.ndarray:
    package = find_spec("skimage")
    assert package is not None
    assert package.origin is not None
    return np.asarray(PilImage.open(Path(package.origin).parent / "data" / "astronaut.png").convert("RGB"))


def parsed(seen: vf.Observation) -> dict[str, Any]:
    assert seen.error is None
    found: dict[str, Any] = json.loads(seen.text.splitlines()[0])
    assert set(found) == {"model", "boxes", "logits", "phrases", "size", "num_detections"}
    assert len(found["boxes"]) == len(found["logits"]) == len(found["phrases"]) == found["num_detections"]
    return found


@pytest.mark.parametrize("name", ["ground", "grounding_dino"])
async def test_it_finds_a_person_in_a_photograph(closed: vf.Toolbox, astronaut: np.ndarray, name: str) -> None:
    image = closed.engine.image(astronaut)
    call = vf.ToolCall(name, {"caption": "a woman. dog.", "box_threshold": 0.35, "text_threshold": 0.25})
    seen = await closed.call(call, images=[image])
    found = parsed(seen)
    assert found["model"] == "nanodet-g-coco"
    assert found["phrases"] == ["person"]
    assert found["size"] == [512, 512]
    ((left, top, right, bottom),) = found["boxes"]
    assert left < 60
    assert top < 60
    assert 300 < right < 420
    assert bottom > 480
    assert 0.5 < found["logits"][0] < 1
    (drawn,) = seen.images
    assert seen.text.splitlines()[1] == "Image 2 is the image with these boxes drawn."
    changed = (np.asarray(drawn) != np.asarray(image)).any(axis=2)
    assert changed[(top + bottom) // 2, left]
    assert not changed[(top + bottom) // 2, (left + right) // 2]


async def test_nothing_found_is_a_result(closed: vf.Toolbox, astronaut: np.ndarray) -> None:
    seen = await closed.call(vf.ToolCall("ground", {"caption": "zebra"}), images=[closed.engine.image(astronaut)])
    assert parsed(seen)["boxes"] == []
    assert seen.images == ()


async def test_captions_of_one_image_share_one_run(closed: vf.Toolbox, astronaut: np.ndarray) -> None:
    image = closed.engine.image(astronaut[:300])
    before = closed.engine.stats()["ops"]["grounding.coco"]["batches"]
    calls = [vf.ToolCall("ground", {"caption": caption}) for caption in ("person", "chair", "person. car", "man")]
    await asyncio.gather(*(closed.call(call, images=[image]) for call in calls))
    assert closed.engine.stats()["ops"]["grounding.coco"]["batches"] - before == 1


def test_an_op_refuses_what_it_does_not_know(closed: vf.Toolbox, open_words: vf.Toolbox) -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(InvalidArgumentError, match="coco has no argument 'caption'; it takes image"):
        closed.engine.call("grounding.coco", image, caption="dog.")
    with pytest.raises(InvalidArgumentError, match="detect has no argument 'threshold'; it takes image, caption, box_"):
        open_words.engine.call("grounding.detect", image, caption="dog.", threshold=0.5)
    right, wrong = ({"image": image, "caption": "dog.", "box_threshold": threshold} for threshold in (0.5, 35))
    found, refused = open_words.engine.submit_many(
        "grounding.detect", [each | {"image": open_words.engine.image(image)} for each in (right, wrong)]
    ).result(60, return_exceptions=True)
    assert set(found) == {"boxes", "scores", "phrases", "model"}
    assert isinstance(refused, InvalidArgumentError)
    assert open_words.engine.stats()["ops"]["grounding.detect"]["rerun_alone"] == 0


@pytest.mark.parametrize("caption", ["", " . ", "unicorn", "x" * 10_000, 7, None])
async def test_a_caption_that_names_nothing_is_an_observation(
    closed: vf.Toolbox, astronaut: np.ndarray, caption: object
) -> None:
    seen = await closed.call(vf.ToolCall("ground", {"caption": caption}), images=[closed.engine.image(astronaut)])
    assert seen.error is not None
    assert seen.error.kind in ("E2", "E3")
    assert "caption" in seen.text
    assert len(seen.text) < 500


async def test_open_words_say_which_model_answers(open_words: vf.Toolbox) -> None:
    image = open_words.engine.image(load_sample_images().images[0])
    call = vf.ToolCall("grounding_dino", {"caption": "Temple", "box_threshold": 0.3})
    seen = await open_words.call(call, images=[image])
    found = parsed(seen)
    assert found["model"] == "grounding-dino-small"
    assert found["size"] == [427, 640]
    assert found["num_detections"] > 0
    assert all(type(side) is int for box in found["boxes"] for side in box)
    assert all(0 <= l < r <= 640 and 0 <= t < b <= 427 for l, t, r, b in found["boxes"])  # noqa: E741
    assert min(found["logits"]) > 0.3
    assert found["logits"] == sorted(found["logits"], reverse=True)
    nothing = await open_words.call(vf.ToolCall("ground", {"caption": "cat", "box_threshold": 1}), images=[image])
    assert parsed(nothing)["num_detections"] == 0


@pytest.mark.parametrize("caption", ["", "...", "red car. " * 1200])
async def test_open_words_that_can_not_be_read_are_an_observation(open_words: vf.Toolbox, caption: str) -> None:
    image = open_words.engine.image(load_sample_images().images[0])
    seen = await open_words.call(vf.ToolCall("ground", {"caption": caption}), images=[image])
    assert seen.error is not None
    assert seen.error.kind == "E3"
    assert "caption" in seen.text


async def test_calls_with_equal_arguments_run_once_and_alike_ones_together(open_words: vf.Toolbox) -> None:
    images = [open_words.engine.image(picture) for picture in load_sample_images().images]
    before = open_words.engine.stats()["ops"]["grounding.detect"]["batches"]
    calls = [(vf.ToolCall("ground", {"caption": "red flower"}), image) for image in images for _ in range(4)]
    seen = await asyncio.gather(*(open_words.call(call, images=[image]) for call, image in calls))
    assert len({observation.text for observation in seen}) == 2
    assert open_words.engine.stats()["ops"]["grounding.detect"]["batches"] - before <= 2


async def test_the_alias_is_not_listed(closed: vf.Toolbox, open_words: vf.Toolbox) -> None:
    for toolbox in (closed, open_words):
        assert "ground" in toolbox.names
        assert "grounding_dino" not in toolbox.names
    assert closed.subset(["grounding_dino"]).names == ("grounding_dino",)
    assert GroundingDinoTool.parameters == Ground.parameters


async def test_an_engine_grounds_one_way_only(closed: vf.Toolbox) -> None:
    vf.Toolbox.default(closed.engine, ocr=None, grounding=GroundingConfig(model="coco"))
    with pytest.raises(vf.errors.InvalidArgumentError, match="make another Engine"):
        vf.Toolbox.default(closed.engine, ocr=None, grounding=GroundingConfig())


def test_a_model_that_is_not_here_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISTA_FAST_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with vf.Engine(threads=1) as engine:
        with pytest.raises(vf.errors.NotFoundError, match="vista-fast weights get"):
            vf.Toolbox.default(engine, ocr=None, grounding=GroundingConfig(model="IDEA-Research/no-such-model"))
        with pytest.raises(vf.errors.NotFoundError, match="vista-fast weights get nanodet"):
            vf.Toolbox.default(engine, ocr=None, grounding=GroundingConfig())
