"""Ops of photographs and documents with device "cuda" beside the same on the CPU, on a machine with a GPU: not run
where there is none. It runs without the conftest files, and leaves out what needs weights that are not here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from document_pages import page, table
from sklearn.datasets import load_sample_images

import vista_fast as vf
from vista_fast.errors import MissingExtraError, NotFoundError
from vista_fast.models.documents import DocumentConfig
from vista_fast.models.documents.ops import register_documents
from vista_fast.models.grounding import GroundingConfig, register_grounding
from vista_fast.models.segmentation import SegmentationConfig
from vista_fast.models.segmentation.ops import register_segmentation

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU"),
]

Register = Callable[[vf.Engine, Any], object]


@pytest.fixture(autouse=True)
def with_cuda_provider() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime is built for the CPU; onnxruntime-gpu runs on CUDA")


@contextmanager
def an_engine(register: Register, device: str) -> Iterator[vf.Engine]:
    with vf.Engine(threads=4) as engine:
        try:
            register(engine, device)
        except (MissingExtraError, NotFoundError) as error:
            pytest.skip(str(error))
        yield engine


def on_both(register: Register, op: str, pixels: np.ndarray, **arguments: Any) -> tuple[Any, Any]:
    """What the Op gives on the GPU and on the CPU."""
    results = []
    for device in ("cuda", "cpu"):
        with an_engine(register, device) as engine:
            results.append(engine.call(op, engine.image(pixels), **arguments))
    return results[0], results[1]


def documents(engine: vf.Engine, device: Any) -> object:
    return register_documents(engine, DocumentConfig(backend="onnxruntime", device=device))


def coco(engine: vf.Engine, device: Any) -> object:
    return register_grounding(engine, GroundingConfig(model="coco", backend="onnxruntime", device=device))


def segmentation(engine: vf.Engine, device: Any) -> object:
    return register_segmentation(engine, SegmentationConfig(backend="onnxruntime", device=device))


def photograph() -> np.ndarray:
    pixels: np.ndarray = load_sample_images().images[0]
    return pixels


def test_regions_of_a_page_are_those_of_the_cpu() -> None:
    found, wanted = on_both(documents, "layout.detect", page())
    assert found["labels"] == wanted["labels"]
    assert len(wanted["labels"]) >= 3
    np.testing.assert_allclose(found["boxes"], wanted["boxes"], atol=1)
    np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-3)


def test_a_table_is_the_same_html() -> None:
    found, wanted = on_both(documents, "table.structure", table())
    assert found["html"] == wanted["html"]
    assert wanted["html"].count("<td") >= 12
    np.testing.assert_allclose(found["boxes"], wanted["boxes"], atol=1)


def test_things_of_a_photograph_are_those_of_the_cpu() -> None:
    found, wanted = on_both(coco, "grounding.coco", photograph())
    sure = wanted["scores"] >= 0.1
    assert sure.any()
    np.testing.assert_allclose(found["scores"][: sure.sum()], wanted["scores"][sure], atol=1e-3)
    np.testing.assert_allclose(found["boxes"][: sure.sum()], wanted["boxes"][sure], atol=1)
    assert found["phrases"][: sure.sum()] == wanted["phrases"][: sure.sum()]


def test_masks_are_those_of_the_cpu() -> None:
    found, wanted = on_both(segmentation, "segment.decode", photograph(), points=((320.0, 210.0),))
    np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-2)
    for mask, other in zip(found["logits"] > 0, wanted["logits"] > 0, strict=True):
        assert (mask & other).sum() / (mask | other).sum() > 0.999


def test_eight_rollouts_of_an_image_share_one_encoding_on_the_gpu() -> None:
    with an_engine(segmentation, "cuda") as engine:
        image = engine.image(photograph())
        calls = [{"image": image, "points": ((40.0 + 50 * number, 200.0),)} for number in range(8)]
        masks = engine.submit_many("segment.decode", calls).result()
        assert len(masks) == 8
        assert engine.stats()["ops"]["segment.encode"]["batches"] == 1
