"""A network cut in two: where, that both parts give what the whole gives, and what its precisions do to the outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import openvino.opset13 as ops
import pytest

from vista_fast.models.backend import Precision, find_backend, native_precision, run_single
from vista_fast.models.backend.openvino import openvino_core
from vista_fast.models.backend.openvino_split import split
from vista_fast.models.backend.own_layers import SETTING as OWN_KERNELS
from vista_fast.models.ocr.weights import detection_weights, recognition_weights

Node = Any


def convolved(source: Node, seed: int) -> Node:
    kernel = np.random.default_rng(seed).normal(size=(3, 3, 3, 3)).astype(np.float32)
    return ops.convolution(source, ops.constant(kernel), [1, 1], [1, 1], [1, 1], [1, 1])


def compute(model: openvino.Model, batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return compiled([batch])[0].copy()


def convolutions(model: openvino.Model) -> int:
    return sum(node.get_type_name() in ("Convolution", "GroupConvolution") for node in model.get_ordered_ops())


@pytest.mark.parametrize(("weights", "height"), [(detection_weights, 64), (recognition_weights, 48)])
@pytest.mark.parametrize("share", [1 / 8, 1 / 3])
def test_both_parts_give_what_the_whole_gives(weights: Callable[[], Path], height: int, share: float) -> None:
    whole = openvino_core().read_model(weights())
    cut = split(openvino_core().read_model(weights()), share)
    assert cut is not None
    first, second = cut
    assert 0 < convolutions(first) <= share * convolutions(whole)
    assert convolutions(first) + convolutions(second) == convolutions(whole)
    assert [port.get_names() for port in second.outputs] == [port.get_names() for port in whole.outputs]
    batch = np.random.default_rng(0).normal(size=(2, 3, height, 320)).astype(np.float32)
    np.testing.assert_allclose(compute(second, compute(first, batch)), compute(whole, batch), atol=1e-4)


def test_the_cut_is_where_one_tensor_passes() -> None:
    source = ops.parameter([1, 3, 8, 8], np.float32, "x")
    early = convolved(source, 0)
    branches = ops.add(convolved(early, 1), convolved(early, 2))
    late = convolved(branches, 3)
    for share, before in ((0.25, 1), (0.5, 1), (0.75, 3)):
        cut = split(openvino.Model([late], [source], "branching").clone(), share)
        assert cut is not None
        assert [convolutions(part) for part in cut] == [before, 4 - before]


def test_an_output_is_never_left_before_the_cut() -> None:
    source = ops.parameter([1, 3, 8, 8], np.float32, "x")
    early = convolved(source, 0)
    late = convolved(convolved(early, 1), 2)
    cut = split(openvino.Model([ops.relu(early), late], [source], "an early output"), 0.9)
    assert cut is not None
    assert [convolutions(part) for part in cut] == [1, 2]
    assert len(cut[1].outputs) == 2


def test_a_network_without_such_a_place_stays_whole() -> None:
    source, other = (ops.parameter([1, 3, 8, 8], np.float32, name) for name in "xy")
    early = convolved(source, 0)
    around = ops.add(convolved(early, 1), source)
    assert split(openvino.Model([around], [source], "its input goes around"), 0.5) is None
    assert split(openvino.Model([ops.relu(source)], [source], "no convolution"), 1.0) is None
    assert split(openvino.Model([ops.add(convolved(source, 0), other)], [source, other], "two inputs"), 1.0) is None


def test_mixed_is_bf16_where_there_is_no_such_place(tmp_path: Path) -> None:
    source = ops.parameter([1, 3], np.float32, "x")
    openvino.save_model(openvino.Model([ops.relu(source)], [source], "no convolution"), tmp_path / "plain.xml")
    model = find_backend("openvino")(tmp_path / "plain.xml", threads=1, precision="mixed")
    assert run_single(model, np.array([[-1, 0, 2]], np.float32)).tolist() == [[0, 0, 2]]


@pytest.mark.skipif(native_precision() != "bf16", reason="this processor does not compute in bf16")
def test_mixed_lies_nearer_to_f32_than_bf16(
    pages: list[npt.NDArray[np.uint8]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OWN_KERNELS, "0")
    batch = np.stack([page[:320, :320].transpose(2, 0, 1) for page in pages]).astype(np.float32) / 127.5 - 1

    def maps(precision: Precision) -> npt.NDArray[np.float32]:
        return run_single(find_backend("openvino")(detection_weights(), threads=1, precision=precision), batch)

    exact = maps("f32")
    mixed, low = (float(np.abs(maps(precision) - exact).mean()) for precision in ("mixed", "bf16"))
    assert 0 < mixed < 0.8 * low
