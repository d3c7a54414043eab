"""Text read with products in f16 or bf16 beside the same in f32: at most 0.5 % of the characters differ."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from vista_fast.models.backend import Precision, native_precision
from vista_fast.models.backend.tensorrt.network import read_network
from vista_fast.models.backend.tensorrt.precision import lowered
from vista_fast.models.ocr import OcrConfig, OcrModel, read_text
from vista_fast.models.ocr.weights import detection_weights, recognition_weights

MOST_DIFFERENT = 0.005


@pytest.fixture(scope="module")
def in_f32(sheets: list[npt.NDArray[np.uint8]], model_at: Callable[..., OcrModel]) -> list[str]:
    return [text(sheet, model_at(320)) for sheet in sheets]


def text(sheet: npt.NDArray[np.uint8], model: OcrModel) -> str:
    return "\n".join(line.text for line in read_text(sheet, model))


def share_different(wanted: list[str], found: list[str]) -> float:
    steps = [
        step
        for pair in zip(wanted, found, strict=True)
        for step in difflib.SequenceMatcher(None, *pair, autojunk=False).get_opcodes()
    ]
    edits = sum(max(to - at, until - start) for kind, at, to, start, until in steps if kind != "equal")
    return edits / sum(map(len, wanted))


@pytest.mark.parametrize("precision", ["f16", "bf16"])
def test_what_tensorrt_is_given_reads_the_same(
    precision: Precision, sheets: list[npt.NDArray[np.uint8]], in_f32: list[str], tmp_path: Path
) -> None:
    files = {"detector": detection_weights(), "recogniser": recognition_weights()}
    for name, path in files.items():
        (tmp_path / f"{name}.onnx").write_bytes(lowered(read_network(path).proto, precision))
    # ONNX Runtime has no bf16 on CPUs.
    backend = "onnxruntime" if precision == "f16" else "openvino"
    paths = {name: str(tmp_path / f"{name}.onnx") for name in files}
    model = OcrModel(OcrConfig(backend=backend, limit_side_len=320, **paths))  # type: ignore[arg-type]
    found = [text(sheet, model) for sheet in sheets]
    assert sum(map(len, in_f32)) > 1000
    assert share_different(in_f32, found) <= MOST_DIFFERENT


@pytest.mark.skipif(native_precision() != "bf16", reason="needs a CPU that computes in bf16")
def test_bf16_on_the_cpu_reads_the_same(sheets: list[npt.NDArray[np.uint8]], in_f32: list[str]) -> None:
    model = OcrModel(OcrConfig(backend="openvino", precision="bf16", limit_side_len=320))
    assert share_different(in_f32, [text(sheet, model) for sheet in sheets]) <= MOST_DIFFERENT
