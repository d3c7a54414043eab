"""Segmentation on photographs: the masks of ONNX Runtime's own run of the networks, prepared as SAM 2 prepares them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest
import torch
from sklearn.datasets import load_sample_images

import vista_fast as vf
from vista_fast.models.segmentation import Masks, Prompt, SegmentationConfig, SegmentationModel, mask_at
from vista_fast.models.segmentation.ops import register_segmentation
from vista_fast.models.weights import fetch_weight

Reference = tuple[npt.NDArray[np.bool_], npt.NDArray[np.float32]]

FLOWER, TEMPLE = 1, 0
SIZE = (640, 427)
PROMPTS: dict[str, dict[str, Any]] = {
    "a point": {"points": [(300, 200)]},
    "points on it and off it": {"points": [(300, 200), (220.5, 250), (20, 400)], "labels": [1, 1, 0]},
    "a box": {"box": (165, 80, 450, 365)},
    "a box and a point off": {"box": (165, 80, 450, 427), "points": [(370, 410)], "labels": [0]},
    "a point at the corner": {"points": [(640, 427)]},
}


@pytest.fixture(scope="module")
def engine() -> Iterator[vf.Engine]:
    for name in ("sam2-hiera-tiny-encoder", "sam2-hiera-tiny-decoder"):
        fetch_weight(name)
    with vf.Engine(threads=2) as engine:
        register_segmentation(engine, SegmentationConfig())
        yield engine


@pytest.fixture(scope="module")
def model(engine: vf.Engine) -> SegmentationModel:
    return SegmentationModel()


@pytest.fixture(scope="module")
def openvino(engine: vf.Engine) -> SegmentationModel:
    return SegmentationModel(SegmentationConfig(backend="openvino"))


class OnnxRuntime:
    """The networks by themselves. The image is resized and normalised, and masks are enlarged, with torch."""

    def __init__(self) -> None:
        files = [fetch_weight(f"sam2-hiera-tiny-{part}") for part in ("encoder", "decoder")]
        self.encoder, self.decoder = (
            onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"]) for file in files
        )
        self.embeddings: dict[int, dict[str, Any]] = {}

    def encode(self, photograph: int) -> dict[str, Any]:
        if photograph not in self.embeddings:
            pixels = torch.tensor(load_sample_images().images[photograph]).permute(2, 0, 1)[None] / 255
            square = torch.nn.functional.interpolate(pixels, (1024, 1024), mode="bilinear", antialias=True)
            mean, deviation = (
                torch.tensor(each).view(3, 1, 1) for each in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
            )
            names = [output.name for output in self.encoder.get_outputs()]
            found = self.encoder.run(None, {"image": ((square - mean) / deviation).numpy()})
            self.embeddings[photograph] = dict(zip(names, found, strict=True))
        return self.embeddings[photograph]

    def segment(self, photograph: int, prompt: dict[str, Any]) -> Reference:
        points, labels = list(prompt.get("points", [])), list(prompt.get("labels", []))
        labels = labels or [1] * len(points)
        if "box" in prompt:
            points, labels = [prompt["box"][:2], prompt["box"][2:], *points], [2, 3, *labels]
        coordinates = np.array(points, np.float32)[None] / np.array(SIZE, np.float32) * 1024
        masks, scores = self.decoder.run(
            ["masks", "iou_predictions"],
            {
                **self.encode(photograph),
                "point_coords": coordinates,
                "point_labels": np.array([labels], np.float32),
                "mask_input": np.zeros((1, 1, 256, 256), np.float32),
                "has_mask_input": np.zeros(1, np.float32),
            },
        )
        large = torch.nn.functional.interpolate(torch.tensor(masks), SIZE[::-1], mode="bilinear", align_corners=False)
        return (large[0] > 0).numpy(), scores[0]


@pytest.fixture(scope="module")
def onnx_runtime() -> OnnxRuntime:
    return OnnxRuntime()


def overlap(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    """Intersection over union."""
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else 1.0


@pytest.mark.parametrize("photograph", [FLOWER, TEMPLE])
@pytest.mark.parametrize("prompt", list(PROMPTS))
def test_masks_are_those_of_onnxruntime(
    engine: vf.Engine, onnx_runtime: OnnxRuntime, photograph: int, prompt: str
) -> None:
    image = engine.image(load_sample_images().images[photograph])
    found = engine.call("segment.decode", image, **PROMPTS[prompt])
    masks, scores = onnx_runtime.segment(photograph, PROMPTS[prompt])
    np.testing.assert_allclose(found["scores"], scores, atol=1e-4)
    for logits, mask in zip(found["logits"], masks, strict=True):
        assert overlap(mask_at(logits, SIZE), mask) > 0.999


@pytest.mark.parametrize("prompt", list(PROMPTS))
def test_openvino_decodes_the_same_masks(openvino: SegmentationModel, onnx_runtime: OnnxRuntime, prompt: str) -> None:
    masks, scores = onnx_runtime.segment(FLOWER, PROMPTS[prompt])
    (found,) = openvino.decode(onnx_runtime.encode(FLOWER), SIZE, [Prompt.of(SIZE, **PROMPTS[prompt])])
    np.testing.assert_allclose(found.scores, scores, atol=1e-4)
    for logits, mask in zip(found.logits, masks, strict=True):
        assert overlap(mask_at(logits, SIZE), mask) > 0.999


def test_a_box_around_the_flower_finds_the_flower(engine: vf.Engine) -> None:
    image = engine.image(load_sample_images().images[FLOWER])
    found = engine.call("segment.decode", image, **PROMPTS["a box"])
    mask = mask_at(found["logits"][found["scores"].argmax()], SIZE)
    assert found["scores"].max() > 0.9
    assert mask[225, 305]
    assert not mask[40, 100]
    assert 0.2 < mask.mean() < 0.25


def test_prompts_together_are_as_each_alone(engine: vf.Engine, model: SegmentationModel) -> None:
    embedding = engine.call("segment.encode", engine.image(load_sample_images().images[FLOWER]))
    prompts = [Prompt.of(SIZE, [(x, y), (5, 5)], [1, 0]) for x in (150, 305, 400) for y in (60, 220, 380)]
    together = model.decode(embedding, SIZE, prompts)
    assert len(together) == 9
    for masks, prompt in zip(together, prompts, strict=True):
        assert_close(masks, model.decode(embedding, SIZE, [prompt])[0])


def assert_close(one: Masks, other: Masks) -> None:
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
    np.testing.assert_allclose(one.logits.astype(np.float32), other.logits.astype(np.float32), atol=1e-3, rtol=1e-3)
    for mine, theirs in zip(one.logits, other.logits, strict=True):
        assert overlap(mask_at(mine, SIZE), mask_at(theirs, SIZE)) > 0.999


def test_prompts_of_all_rollouts_decode_together_over_one_encoding(engine: vf.Engine) -> None:
    def ran(op: str) -> tuple[int, int]:
        sizes = engine.stats()["ops"][op]
        return sizes["batches"], round(sizes["batch_size"]["count"] * sizes["batch_size"]["mean"])

    image = engine.image(load_sample_images().images[FLOWER])
    engine.call("segment.encode", image)
    encoded, (batches, decoded) = ran("segment.encode"), ran("segment.decode")
    calls = [{"image": image, "points": [(200 + 20 * place, 210)]} for place in range(8)]
    results = engine.submit_many("segment.decode", [*calls, *calls]).result()
    assert ran("segment.encode") == encoded
    assert ran("segment.decode")[1] - decoded == 8
    assert ran("segment.decode")[0] - batches < 8
    assert all(result["logits"].shape == (3, 256, 256) for result in results)
