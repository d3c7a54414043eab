"""The same text, boxes and scores as RapidOCR, run beside ours on the same images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest
import yaml
from rapidocr import EngineType, RapidOCR
from rapidocr.inference_engine.openvino.device_config import CPUConfig
from rapidocr.main import DEFAULT_CFG_PATH

from vista_fast.models.ocr import OcrConfig, OcrModel, TextLine, read_text
from vista_fast.models.ocr.weights import character_file, detection_weights, recognition_weights
from vista_fast.models.weights import fetch_weight

Pixels = npt.NDArray[np.uint8]


@pytest.fixture(scope="module")
def rapidocr_at() -> Iterator[Callable[..., RapidOCR]]:
    """``rapidocr_at(limit_side_len, more)``: RapidOCR on OpenVINO in f32, a choice that it leaves to the library."""
    patch = pytest.MonkeyPatch()
    original = CPUConfig.get_config
    patch.setattr(CPUConfig, "get_config", lambda self: original(self) | {"INFERENCE_PRECISION_HINT": "f32"})

    @functools.cache
    def load(limit: int, more: tuple[tuple[str, str], ...] = ()) -> RapidOCR:
        settings = {"Global.use_cls": False, "Rec.rec_batch_num": 1, "Global.log_level": "critical"}
        engines = {"Det.engine_type": EngineType.OPENVINO, "Rec.engine_type": EngineType.OPENVINO}
        return RapidOCR(params=settings | engines | {"Det.limit_side_len": limit} | dict(more))

    yield load
    patch.undo()


def test_reads_the_same(
    rapidocr_at: Callable[..., RapidOCR], model_at: Callable[..., OcrModel], image: tuple[int, Pixels]
) -> None:
    limit, pixels = image
    expect_the_same(rapidocr_at(limit), read_text(pixels, model_at(limit)), pixels)


def expect_the_same(peer: RapidOCR, lines: list[TextLine], pixels: Pixels) -> None:
    expected = peer(np.ascontiguousarray(pixels[..., ::-1]), use_cls=False)
    assert tuple(line.text for line in lines) == (expected.txts or ())
    if lines:
        np.testing.assert_allclose(np.stack([line.quad for line in lines]), expected.boxes, atol=1e-3)
        np.testing.assert_allclose([line.score for line in lines], expected.scores, atol=1e-3)


def test_other_versions_read_as_rapidocr_does(rapidocr_at: Callable[..., RapidOCR], pages: list[Pixels]) -> None:
    v4 = ("pp-ocrv4-det-mobile", "pp-ocrv4-rec-mobile")
    v5 = ("pp-ocrv5-det-mobile", "pp-ocrv5-rec-mobile", "pp-ocrv5-characters")
    for name in (*v4, *v5):
        fetch_weight(name)
    for version in ("v4", "v5"):
        detector, recogniser = (f"pp-ocr{version}-{stage}-mobile" for stage in ("det", "rec"))
        files = {"Det.model_path": detection_weights(detector), "Rec.model_path": recognition_weights(recogniser)}
        characters = character_file(recogniser, None)
        keys = {} if characters is None else {"Rec.rec_keys_path": characters}
        peer = rapidocr_at(320, tuple((key, str(path)) for key, path in (files | keys).items()))
        ours = OcrModel(OcrConfig(detector=detector, recogniser=recogniser, limit_side_len=320), threads=1)
        for page in pages[:6]:
            expect_the_same(peer, read_text(page, ours), page)


def test_both_backends_read_the_same(model_at: Callable[..., OcrModel], pages: list[Pixels]) -> None:
    for page in pages[:3]:
        one, other = (read_text(page, model_at(320, backend)) for backend in ("openvino", "onnxruntime"))
        assert [line.text for line in one] == [line.text for line in other] != []


def test_defaults_are_rapidocrs() -> None:
    theirs = yaml.safe_load(DEFAULT_CFG_PATH.read_text())
    detection, whole, ours = theirs["Det"], theirs["Global"], OcrConfig()
    assert (ours.limit_side_len, ours.limit_type) == (detection["limit_side_len"], detection["limit_type"])
    assert (ours.pixel_threshold, ours.box_threshold) == (detection["thresh"], detection["box_thresh"])
    assert (ours.unclip_ratio, ours.max_candidates) == (detection["unclip_ratio"], detection["max_candidates"])
    assert (ours.min_side_len, ours.max_side_len) == (whole["min_side_len"], whole["max_side_len"])
    assert (ours.max_aspect, ours.text_threshold) == (whole["width_height_ratio"], whole["text_score"])
