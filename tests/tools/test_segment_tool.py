"""The segment tool over the engine, on a photograph: numbers, the overlay, and one encoding for a group."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

import vista_fast as vf
from vista_fast.models.segmentation import SegmentationConfig
from vista_fast.models.weights import fetch_weight

CENTRE = [305, 220]


@pytest.fixture(scope="module")
def segmenting() -> Iterator[vf.Toolbox]:
    for name in ("sam2-hiera-tiny-encoder", "sam2-hiera-tiny-decoder"):
        fetch_weight(name)
    with vf.Engine(threads=2) as engine:
        yield vf.Toolbox.default(engine, ocr=None, segmentation=SegmentationConfig())


@pytest.fixture
def flower(segmenting: vf.Toolbox) -> vf.Image:
    """640 × 427 pixels; a round flower about (305, 220)."""
    return segmenting.engine.image(load_sample_images().images[1])


def ran(toolbox: vf.Toolbox, op: str) -> int:
    sizes = toolbox.engine.stats()["ops"][op]["batch_size"]
    return round(sizes["count"] * sizes["mean"])


async def test_eight_rollouts_encode_the_image_once(segmenting: vf.Toolbox, flower: vf.Image) -> None:
    calls = [
        segmenting.record(
            vf.ToolCall("segment", {"points": [[CENTRE[0] + 5 * place, CENTRE[1]]]}),
            images=[flower],
            flow=f"rollout {place}",
        )
        for place in range(8)
    ]
    results = await asyncio.gather(*calls)
    assert ran(segmenting, "segment.encode") == 1
    assert ran(segmenting, "segment.decode") == 8
    assert segmenting.engine.stats()["ops"]["segment.decode"]["batches"] < 8
    assert all(observation.error is None for observation, _ in results)


async def test_a_box_gives_the_best_mask_in_numbers_and_tinted(segmenting: vf.Toolbox, flower: vf.Image) -> None:
    call = vf.ToolCall("segment", {"bbox_2d": [165, 80, 450, 365], "points": [CENTRE]})
    seen = await segmenting.call(call, images=[flower])
    result = json.loads(seen.text)
    assert set(result) == {"results", "best_mask_idx", "overlay"}
    assert result["best_mask_idx"] == 0
    assert result["overlay"] == "Image 2 shows the best mask tinted, 640x427 pixels."
    (mask,) = result["results"]
    assert set(mask) == {"mask_id", "score", "pixel_count", "coverage_percent", "bbox", "centroid"}
    assert mask["score"] > 0.9
    assert mask["coverage_percent"] == pytest.approx(100 * mask["pixel_count"] / (640 * 427), abs=0.01)
    assert mask["bbox"] == pytest.approx([168, 86, 447, 362], abs=6)
    assert mask["centroid"] == pytest.approx(CENTRE, abs=8)
    (overlay,) = seen.images
    changed = (np.asarray(overlay) != np.asarray(flower)).any(axis=-1)
    assert changed.sum() == pytest.approx(mask["pixel_count"], rel=0.01)
    rows, columns = np.nonzero(changed)
    assert [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] == pytest.approx(mask["bbox"], abs=1)


async def test_sam2_takes_vista_gyms_arguments(segmenting: vf.Toolbox, flower: vf.Image) -> None:
    arguments: dict[str, Any] = {"point_prompts": [CENTRE], "point_labels": [1], "box_prompt": [165, 80, 450, 365]}
    three = json.loads((await segmenting.call(vf.ToolCall("sam2", arguments), images=[flower])).text)
    assert [mask["mask_id"] for mask in three["results"]] == [0, 1, 2]
    scores = [mask["score"] for mask in three["results"]]
    assert three["best_mask_idx"] == int(np.argmax(scores))
    call = vf.ToolCall("sam2", {**arguments, "multimask_output": False, "target_image": 1})
    one = json.loads((await segmenting.call(call, images=[flower])).text)
    assert one["best_mask_idx"] == 0
    assert one["results"] == [{**three["results"][three["best_mask_idx"]], "mask_id": 0}]


async def test_fractions_of_the_image_mean_the_same(segmenting: vf.Toolbox, flower: vf.Image) -> None:
    pixels = vf.ToolCall("segment", {"points": [[320, 213.5], [0, 427]], "labels": [1, 0]})
    fractions = vf.ToolCall("segment", {"points": [[0.5, 0.5], [0, 1]], "labels": [1, 0]})
    one, other = [await segmenting.call(call, images=[flower]) for call in (pixels, fractions)]
    assert one.error is None
    assert one.text == other.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "There is nothing to segment by: give points, bbox_2d, or both."),
        ({"points": []}, "nothing to segment by"),
        ({"points": [[700, 5]]}, "point [700.0, 5.0] lies outside of the image (640x427 pixels)"),
        ({"points": [[-0.5, 0.5]]}, "lies outside"),
        ({"points": [[1, 2, 3]]}, "points must be"),
        ({"points": [1, 2]}, "points must be"),
        ({"points": [[5, 5]], "labels": [2]}, "labels must be"),
        ({"points": [[5, 5]], "labels": [1, 0]}, "for each of the 1 points"),
        ({"bbox_2d": [700, 0, 800, 10]}, "bbox_2d [700, 0, 800, 10] lies outside"),
        ({"bbox_2d": [5, 5, 1, 1]}, "left < right"),
        ({"points": [[5, 5]] * 65}, "points must be"),
    ],
)
async def test_a_wrong_prompt_is_an_observation(
    segmenting: vf.Toolbox, flower: vf.Image, arguments: dict[str, Any], message: str
) -> None:
    before = ran(segmenting, "segment.encode")
    seen = await segmenting.call(vf.ToolCall("segment", arguments), images=[flower])
    assert seen.error is not None
    assert seen.error.kind == "E3"
    assert message in seen.text
    assert ran(segmenting, "segment.encode") == before


async def test_segment_is_listed_when_asked_for(segmenting: vf.Toolbox) -> None:
    assert segmenting.names == ("zoom", "rotate", "segment")
    assert segmenting.subset(["sam2"]).names == ("sam2",)
