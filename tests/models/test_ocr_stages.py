"""The stages of text reading by themselves."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vista_fast.errors import InvalidArgumentError, NotFoundError
from vista_fast.models import Precision
from vista_fast.models.backend import Classifier, TensorSpec
from vista_fast.models.ocr import OcrConfig, OcrModel, detection, read_text, recognition
from vista_fast.models.ocr.frame import GRID, Frame
from vista_fast.models.ocr.reader import padded_width
from vista_fast.models.ocr.weights import detection_weights, recognition_weights
from vista_fast.models.weights import find_weight

SIDES = st.integers(1, 12_000)


@dataclass
class Stub:
    """The part of a Model that stays the same in every test; the network itself is each test's own."""

    metadata: dict[str, str]
    inputs = outputs = (TensorSpec("x", (None,) * 4, np.dtype(np.float32)),)

    def run(self, batch: Mapping[str, npt.NDArray[np.float32]]) -> dict[str, npt.NDArray[np.float32]]:
        return {"x": self.answer(batch["x"])}

    def answer(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        raise NotImplementedError


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES)
def test_every_size_has_a_bounded_network_input(width: int, height: int) -> None:
    config = OcrConfig()
    frame = Frame.of(width, height, config)
    size = detection.input_size(*frame.size, config)
    assert all(side % GRID == 0 and side >= GRID for side in size)
    assert max(size) <= 8 * config.limit_side_len + GRID
    assert size[0] * size[1] <= 8.5 * config.limit_side_len**2


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES, st.lists(st.tuples(st.integers(0, 1999), st.integers(0, 1999)), min_size=4, max_size=4))
def test_points_survive_the_way_to_the_image_and_back(width: int, height: int, points: list[tuple[int, int]]) -> None:
    frame = Frame.of(width, height, OcrConfig())
    inside = np.minimum(np.array(points, np.float32), np.array(frame.size, np.float32) - 1)
    np.testing.assert_array_equal(frame.from_image(frame.to_image(inside)), inside)


@settings(deadline=None, max_examples=60)
@given(SIDES, SIDES)
def test_quads_of_the_whole_frame_are_held_and_those_far_out_are_not(width: int, height: int) -> None:
    frame = Frame.of(width, height, OcrConfig())
    (right, bottom), far = frame.size, 1000 * max(width, height)
    corners = np.array([[0, 0], [right - 1, 0], [right - 1, bottom - 1], [0, bottom - 1]], np.float32)
    assert frame.holds(frame.to_image(corners))
    assert frame.holds(np.array([[-width, -height], [2 * width, 2 * height]]))
    for x, y in ((far, 0), (0, far), (-far, 0), (0, -far)):
        assert not frame.holds(np.array([[0, 0], [x, y]]))


def test_a_frame_renders_its_own_size() -> None:
    for width, height in [(640, 480), (3000, 1000), (20, 60), (1600, 60), (1200, 29)]:
        frame = Frame.of(width, height, OcrConfig())
        rendered = frame.render(np.full((height, width, 3), 200, np.uint8))
        assert rendered.shape[1::-1] == frame.size
        assert (rendered[frame.padding : rendered.shape[0] - frame.padding] == 200).all()


@settings(deadline=None, max_examples=60)
@given(st.integers(4, 900), st.integers(4, 900), st.floats(-0.4, 0.4))
def test_the_padded_width_is_the_width_that_the_network_gets(width: int, height: int, shear: float) -> None:
    quad = np.array([[0, 0], [width, shear * width], [width, shear * width + height], [0, height]], np.float32)
    line = recognition.crop(np.zeros((950, 950, 3), np.uint8), quad)
    seen: list[tuple[int, ...]] = []

    class Network(Stub):
        def answer(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            seen.append(batch.shape)
            return np.zeros((len(batch), 4, 2), np.float32)

    recognition.recognize([line], Classifier(Network({})), ["", "a"])
    assert seen == [(1, 3, recognition.LINE_HEIGHT, recognition.padded_width(quad))]


def test_ctc_drops_repeats_then_blanks() -> None:
    classes = [0, 1, 1, 0, 1, 2, 2, 0, 3]
    probabilities = np.full((1, len(classes), 4), 0.01, np.float32)
    probabilities[0, range(len(classes)), classes] = [0.9, 0.8, 0.1, 0.9, 0.6, 0.7, 0.2, 0.9, 0.5]

    class Network(Stub):
        def answer(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            return probabilities

    charset = recognition.charset(Classifier(Network({"character": "a\nb"})))
    (line,) = recognition.recognize([np.zeros((48, 100, 3), np.uint8)], Classifier(Network({})), charset)
    assert line.text == "aab "
    assert line.score == pytest.approx((0.8 + 0.6 + 0.7 + 0.5) / 4, abs=1e-4)


def test_detection_grows_the_blob_and_keeps_reading_order() -> None:
    probability = np.zeros((1, 1, 320, 320), np.float32)
    for left, top in [(200, 103), (20, 100), (60, 200)]:
        probability[0, 0, top : top + 12, left : left + 80] = 0.9
    probability[0, 0, 300:312, 20:100] = 0.4  # text pixels, but too unsure as a line

    class Network(Stub):
        def answer(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            return probability

    frame = np.zeros((320, 320, 3), np.uint8)
    ((quads, scores),) = detection.detect([frame], Network({}), OcrConfig(limit_side_len=320))
    assert [round(float(quad[0, 0]), -1) for quad in quads] == [10, 190, 50]
    width, height = quads[0][2] - quads[0][0]
    distance = 80 * 12 * 1.6 / (2 * (80 + 12))
    assert width == pytest.approx(80 + 2 * distance, abs=4)
    assert height == pytest.approx(12 + 2 * distance, abs=4)
    assert scores == pytest.approx([0.9] * 3, abs=0.08)


def test_all_of_four_thousand_lines_on_a_page_are_found() -> None:
    probability = np.zeros((1, 1, 1600, 1600), np.float32)
    for top in range(4, 1600, 16):
        for left in range(4, 1600, 40):
            probability[0, 0, top : top + 6, left : left + 24] = 0.9

    class Network(Stub):
        def answer(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            return probability

    frame = np.zeros((1600, 1600, 3), np.uint8)
    ((quads, _),) = detection.detect([frame], Network({}), OcrConfig())
    assert len(quads) == 4000
    corners = quads[:, 0].round(-1)
    assert (np.diff(corners[:, 1]) >= 0).all()


@pytest.mark.parametrize(("specks", "lines"), [(900, 1), (1100, 0)])
def test_of_noise_only_the_first_contours_are_looked_at(specks: int, lines: int) -> None:
    probability = np.zeros((1, 1, 640, 640), np.float32)
    probability[0, 0, 10:22, 20:120] = 0.9
    for index in range(specks):  # contours come from the bottom up
        probability[0, 0, 630 - 8 * (index // 60), 8 + 10 * (index % 60)] = 0.9

    class Network(Stub):
        def answer(self, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
            return probability

    ((quads, _),) = detection.detect([np.zeros((640, 640, 3), np.uint8)], Network({}), OcrConfig())
    assert len(quads) == lines


def test_each_network_computes_in_its_own_precision(
    cheap_model: OcrModel, model_at: Callable[..., OcrModel], pages: list[npt.NDArray[np.uint8]]
) -> None:
    side = cheap_model.config.limit_side_len
    mixed = OcrModel(OcrConfig(limit_side_len=side, precision="bf16", detector_precision="f32"), threads=1)
    low = model_at(side, precision="bf16")
    ((quads, scores),), ((found, same_scores),) = cheap_model.detect(pages[:1]), mixed.detect(pages[:1])
    np.testing.assert_array_equal(found, quads)
    np.testing.assert_array_equal(same_scores, scores)
    lines = [(pages[0], quad) for quad in quads if padded_width(320, 320, quad, mixed.config) == 320]
    assert lines
    assert mixed.recognize(lines) == low.recognize(lines)


@pytest.mark.parametrize(
    ("chosen", "detects_in"),
    [
        ({}, "f32"),
        ({"precision": "bf16"}, "mixed"),
        ({"precision": "bf16", "detector_precision": "bf16"}, "bf16"),
        ({"precision": "bf16", "backend": "tensorrt"}, "bf16"),
        ({"precision": "f16", "backend": "tensorrt"}, "f16"),
    ],
)
def test_detection_keeps_its_first_layers_in_f32_where_a_library_can(chosen: dict[str, Any], detects_in: str) -> None:
    assert OcrConfig(**({"backend": "openvino"} | chosen)).detects_in == detects_in


@pytest.mark.parametrize(("precision", "tolerance"), [("f32", 1e-4), ("bf16", 0.02)])
def test_batching_does_not_change_what_is_found(
    precision: Precision,
    tolerance: float,
    cheap_model: OcrModel,
    model_at: Callable[..., OcrModel],
    pages: list[npt.NDArray[np.uint8]],
) -> None:
    model = model_at(cheap_model.config.limit_side_len, precision=precision)
    together = model.detect(pages)
    for page, (quads, scores) in zip(pages, together, strict=True):
        ((alone, alone_scores),) = model.detect([page])
        np.testing.assert_array_equal(quads, alone)
        np.testing.assert_allclose(scores, alone_scores, atol=tolerance)
    calls = [(page, quad) for page, (quads, _) in zip(pages, together, strict=True) for quad in quads]
    widths = [padded_width(320, 320, quad, model.config) for _, quad in calls]
    shared = [call for call, width in zip(calls, widths, strict=True) if width == 320]
    assert len(shared) > 4
    for call, line in zip(shared, model.recognize(shared), strict=True):
        (alone_line,) = model.recognize([call])
        assert line.text == alone_line.text
        assert line.score == pytest.approx(alone_line.score, abs=tolerance)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (2, 40)])
def test_hardly_any_pixels_read_as_nothing(model_at: Callable[..., OcrModel], shape: tuple[int, int]) -> None:
    assert read_text(np.full((*shape, 3), 255, np.uint8), model_at(64)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit_side_len": 8},
        {"limit_type": "median"},
        {"threads": 0},
        {"max_candidates": 0},
        {"text_threshold": 1.5},
        {"min_side_len": 3000},
    ],
)
def test_a_config_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidArgumentError, match=next(iter(wrong))):
        OcrConfig(**wrong)  # type: ignore[arg-type]


def test_an_array_that_is_no_image_is_refused(cheap_model: OcrModel) -> None:
    with pytest.raises(InvalidArgumentError, match=r"\[H, W, 3\]"):
        read_text(np.zeros((10, 10), np.uint8), cheap_model)


@pytest.mark.parametrize(
    "config",
    [{"detector": str(recognition_weights())}, {"recogniser": str(detection_weights())}],
)
@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_file_of_another_network_is_refused(config: dict[str, str], backend: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="give the file of the right network"):
        OcrModel(OcrConfig(backend=backend, **config), threads=1)


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_a_file_that_takes_one_size_only_is_refused(tmp_path: Path, backend: Any) -> None:
    network = onnx.load(detection_weights())
    for size, dimension in zip((1, 3, 640, 640), network.graph.input[0].type.tensor_type.shape.dim, strict=True):
        dimension.Clear()
        dimension.dim_value = size
    onnx.save(network, tmp_path / "fixed.onnx")
    with pytest.raises(InvalidArgumentError, match=r"\[1, 3, 640, 640\], wanted .*\[any, 3, any, any\]; give the file"):
        OcrModel(OcrConfig(backend=backend, detector=str(tmp_path / "fixed.onnx")), threads=1)


def test_a_network_is_named_or_a_file(tmp_path: Path) -> None:
    assert detection_weights() == find_weight("pp-ocrv6-det-small")
    mine = shutil.copy(recognition_weights(), tmp_path / "mine.onnx")
    assert recognition_weights(str(mine)) == mine
    with pytest.raises(NotFoundError, match=r"absent\.onnx.*pp-ocrv4-det-mobile"):
        detection_weights("absent.onnx")


def test_characters_are_as_many_as_classes(tmp_path: Path) -> None:
    @dataclass
    class Network(Stub):
        outputs = (TensorSpec("x", (None, None, 5), np.dtype(np.float32)),)

    file = tmp_path / "characters.txt"
    file.write_text("a\n\u2028\n字\n", encoding="utf-8")
    assert recognition.charset(Classifier(Network({})), file) == ("", "a", "\u2028", "字", " ")
    with pytest.raises(InvalidArgumentError, match="2 characters for a recognition network of 5 classes"):
        recognition.charset(Classifier(Network({"character": "a\nb"})))
    with pytest.raises(InvalidArgumentError, match="carries no charset"):
        recognition.charset(Classifier(Network({})))
    file.write_bytes(b"\xff\xfe\x80")
    with pytest.raises(InvalidArgumentError, match="no text in UTF-8"):
        recognition.charset(Classifier(Network({})), file)
    with pytest.raises(NotFoundError, match=r"absent\.txt.*characters"):
        OcrModel(OcrConfig(characters="absent.txt"), threads=1)
